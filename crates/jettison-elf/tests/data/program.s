# write(1, "ok\n", 3); exit(0)
.globl _start
.text
_start:
    mov $1, %edi
    lea text(%rip), %rsi
    mov $3, %edx
    mov $1, %eax
    syscall
    xor %edi, %edi
    mov $60, %eax
    syscall
.section .rodata
text:
    .ascii "ok\n"
# Kept by strip: not loaded, and nobody's debug information.
.section .dep-v0, "", @progbits
    .ascii "dependencies"
.section .debug_ballast, "", @progbits
    .zero 2048
