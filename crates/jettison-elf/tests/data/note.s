# systemd's ELF dlopen() metadata
.section .note.dlopen, "a", @note
.balign 4
    .long 4, 2f - 1f, 0x407c0c0a
    .asciz "FDO"
1:  .asciz "[{\"feature\":\"z\",\"priority\":\"suggested\",\"soname\":[\"libzstd.so.1\",\"libz.so.1\"]}]"
2:
.balign 4
.text
.globl f
f:  ret
.section .debug_ballast, "", @progbits
    .zero 2048
