/* A program of somebody else's, in C: writes a value, opens the store again and finds it. */
#include <sarsen.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    sarsen_store *store = NULL;
    sarsen_view value;
    if (argc < 2 || sarsen_store_open(argv[1], NULL, &store, NULL) != SARSEN_OK) return 1;
    if (sarsen_kv_set(store, "key", 3, "value", 5, NULL) != SARSEN_OK) return 2;
    if (sarsen_store_close(store, NULL) != SARSEN_OK) return 3;
    if (sarsen_store_open(argv[1], NULL, &store, NULL) != SARSEN_OK) return 4;
    if (sarsen_kv_get(store, NULL, "key", 3, &value, NULL) != SARSEN_OK) return 5;
    if (value.len != 5 || memcmp(value.data, "value", 5) != 0) return 6;
    sarsen_view_release(&value);
    if (sarsen_store_close(store, NULL) != SARSEN_OK) return 7;
    printf("%s\n", sarsen_version());
    return 0;
}
