# A program for i386: exit(42).
	.globl _start
_start:	mov $1, %eax
	mov $42, %ebx
	int $0x80
	.section .note.GNU-stack, "", @progbits
