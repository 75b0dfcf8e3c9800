/* The control of `make asan`: says that a tag has one byte more than it has. With the sanitizer in the library this
 * program is stopped; if it ends by itself, the sanitizer was not there and a passing run proves nothing. */
#include <sarsen.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *tag = malloc(16);
    if (tag == NULL) return 0;
    memset(tag, 'a', 16);
    sarsen_tags *tags = sarsen_tags_new();
    sarsen_tags_add(tags, tag, 17);
    sarsen_tags_free(tags);
    free(tag);
    return 0;
}
