int answer_1_0(void) { return 41; }
int answer_1_2(void) { return 42; }
__asm__(".symver answer_1_0,answer@JET_1.0");
__asm__(".symver answer_1_2,answer@@JET_1.2");
