// The launcher's ELF file, as bytes of moat. The path is relative to where make runs.
	.section .rodata
	.balign 16
	.globl launcher_image, launcher_image_end
launcher_image:
	.incbin "process/launcher.elf"
launcher_image_end:
	.section .note.GNU-stack, "", %progbits
