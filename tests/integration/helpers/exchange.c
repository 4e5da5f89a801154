/*
 * exchange A B: swap two directory entries over and over, until killed: the attacker in a race for
 * a path.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "usage: exchange A B");
	for (;;)
		if (renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) < 0)
			err(1, "exchange %s and %s", argv[1], argv[2]);
}
