/* sql.c -- sql FILE STATEMENTS: what a test does to a state.db. */
#include <sqlite3.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
	char *why = NULL;
	sqlite3 *db;

	if (argc != 3 || sqlite3_open(argv[1], &db) != SQLITE_OK ||
	    sqlite3_exec(db, argv[2], NULL, NULL, &why) != SQLITE_OK) {
		fprintf(stderr, "sql: %s\n", why ? why : "usage: sql FILE STATEMENTS");
		return 1;
	}
	return sqlite3_close(db) != SQLITE_OK;
}
