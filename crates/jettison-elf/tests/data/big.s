.text
.globl f
f:  blr
.comm block, 64
.section .debug_ballast, "", @progbits
    .zero 2048
