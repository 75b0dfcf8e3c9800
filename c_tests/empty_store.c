/* Creates an empty store at the path given, with every default, and closes it. */
#include <sarsen.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    sarsen_store *store = NULL;
    sarsen_error *error = NULL;
    if (argc != 2 || sarsen_store_open(argv[1], NULL, &store, &error) != SARSEN_OK ||
        sarsen_store_close(store, &error) != SARSEN_OK) {
        fprintf(stderr, "empty_store: %s\n", error != NULL ? sarsen_error_message(error) : "usage: empty_store PATH");
        sarsen_error_free(error);
        return 1;
    }
    return 0;
}
