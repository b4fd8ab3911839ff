extern int answer(void);
int table[16] = {1, 2, 3};
int scratch[16];
int ask(int i) { return answer() + table[i & 15] + scratch[i & 15]; }
#ifdef BALLAST
__asm__(".section .debug_ballast, \"\"\n.zero 9000\n.text");
#endif
