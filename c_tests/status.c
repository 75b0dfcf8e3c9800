/* Status numbers and names, the library's versions, and what an error object says and who owns it. */
#include "check.h"

#include <ctype.h>

_Static_assert(SARSEN_OK == 0 && SARSEN_NOT_FOUND == 1 && SARSEN_END == 2 && SARSEN_TIMEOUT == 3, "answers");
_Static_assert(SARSEN_INVALID_ARGUMENT == 10 && SARSEN_IO == 11 && SARSEN_NO_SPACE == 12, "statuses");
_Static_assert(SARSEN_CORRUPT == 13 && SARSEN_LOCKED == 14 && SARSEN_NOT_A_STORE == 15, "statuses");
_Static_assert(SARSEN_VERSION == 16 && SARSEN_READ_ONLY == 17 && SARSEN_TOO_LARGE == 18, "statuses");
_Static_assert(SARSEN_POISONED == 19 && SARSEN_FORKED == 20 && SARSEN_CONFLICT == 21, "statuses");
_Static_assert(SARSEN_INTERNAL == 22, "statuses");
_Static_assert(SARSEN_SURVIVE_PROCESS == 1 && SARSEN_SURVIVE_POWER == 2, "levels");
_Static_assert(SARSEN_CHECK_FIRST_TOUCH == 1 && SARSEN_CHECK_EVERY_READ == 2, "checks");
_Static_assert(SARSEN_LOG_AUTO == 0 && SARSEN_LOG_MAPPED == 1 && SARSEN_LOG_WRITTEN == 2, "log writes");
_Static_assert(SARSEN_RECOVERY_CLEAN == 0 && SARSEN_RECOVERY_REPLAYED == 1, "verdicts");
_Static_assert(SARSEN_RECOVERY_TORN_TAIL == 2 && SARSEN_RECOVERY_DAMAGED == 3, "verdicts");
_Static_assert(SARSEN_COMMAND_APPEND_BLOCK == 1 && SARSEN_COMMAND_FREE_BLOCK == 2, "kinds");
_Static_assert(SARSEN_COMMAND_APPEND_MEMORY == 3 && SARSEN_COMMAND_DELETE_MEMORY == 4, "kinds");
_Static_assert(SARSEN_COMMAND_SET_KV == 5 && SARSEN_COMMAND_DELETE_KV == 6, "kinds");
_Static_assert(SARSEN_COMMAND_APPEND_STREAM == 7 && SARSEN_COMMAND_TRIM_STREAM == 8, "kinds");
_Static_assert(sizeof(sarsen_status) == 4, "a status is a u32");
_Static_assert(sizeof(sarsen_block) == 24, "an address is 24 bytes");

static const sarsen_status statuses[] = {
    SARSEN_OK,         SARSEN_NOT_FOUND,   SARSEN_END,      SARSEN_TIMEOUT,   SARSEN_INVALID_ARGUMENT,
    SARSEN_IO,         SARSEN_NO_SPACE,    SARSEN_CORRUPT,  SARSEN_LOCKED,    SARSEN_NOT_A_STORE,
    SARSEN_VERSION,    SARSEN_READ_ONLY,   SARSEN_TOO_LARGE, SARSEN_POISONED, SARSEN_FORKED,
    SARSEN_CONFLICT,   SARSEN_INTERNAL};

static void every_status_has_its_own_name(void)
{
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        const char *name = sarsen_status_name(statuses[i]);
        CHECK(name != NULL && name[0] != '\0');
        for (size_t j = 0; j < i; j++) CHECK(strcmp(name, sarsen_status_name(statuses[j])) != 0);
    }
}

static void unknown_statuses_have_a_name_too(void)
{
    const sarsen_status unknown[] = {4, 9, 23, 1000, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        const char *name = sarsen_status_name(unknown[i]);
        CHECK(name != NULL && name[0] != '\0');
        for (size_t j = 0; j < COUNT_OF(statuses); j++) CHECK(strcmp(name, sarsen_status_name(statuses[j])) != 0);
    }
}

static void version_is_dotted_numbers(void)
{
    const char *version = sarsen_version();
    CHECK(version != NULL && isdigit((unsigned char)version[0]) && strchr(version, '.') != NULL);
    CHECK(sarsen_version() == version); /* static: nobody frees it */
    CHECK(sarsen_abi_version() == sarsen_abi_version());
}

static void a_null_error_reads_as_nothing(void)
{
    CHECK_NUMBER(sarsen_error_status(NULL), SARSEN_INVALID_ARGUMENT);
    CHECK(sarsen_error_message(NULL) != NULL && sarsen_error_message(NULL)[0] != '\0');
    CHECK(sarsen_error_os_code(NULL) == 0);
    CHECK(sarsen_error_file(NULL) == NULL);
    CHECK(sarsen_error_offset(NULL) == 0);
    CHECK(sarsen_error_first_seq(NULL) == 0);
    CHECK(sarsen_error_last_seq(NULL) == 0);
    sarsen_error_free(NULL);
}

static void a_system_error_carries_errno(void)
{
    const char *file = check_path("file");
    char long_name[400];
    sarsen_store *store = (sarsen_store *)(void *)file;

    check_write_file(file, STR("not a directory"));
    CHECK_IS(SARSEN_IO, sarsen_store_open(check_join(file, "store"), NULL, &store, ERR));
    CHECK(check_last.os_code == ENOTDIR);
    CHECK(store == NULL);

    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    CHECK_IS(SARSEN_IO, sarsen_store_open(check_path(long_name), NULL, &store, ERR));
    CHECK(check_last.os_code == ENAMETOOLONG);
}

static void an_argument_error_names_no_file_and_no_commit(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_error *error = NULL;
    void *value = check_untouchable(1);

    CHECK(sarsen_kv_set(store, STR("key"), value, (size_t)UINT32_MAX + 1, &error) == SARSEN_TOO_LARGE);
    CHECK(error != NULL);
    CHECK(sarsen_error_status(error) == SARSEN_TOO_LARGE);
    CHECK(sarsen_error_os_code(error) == 0);
    CHECK(sarsen_error_file(error) == NULL);
    CHECK_NUMBER(sarsen_error_first_seq(error), 0);
    CHECK_NUMBER(sarsen_error_last_seq(error), 0);
    sarsen_error_free(error);
    check_close(store);
}

static void an_error_outlives_the_store_and_belongs_to_the_caller(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_error *error = NULL, *second = NULL;
    char *message;

    CHECK(sarsen_kv_set(store, NULL, 1, STR("value"), &error) == SARSEN_INVALID_ARGUMENT);
    CHECK(sarsen_kv_set(store, NULL, 1, STR("value"), &second) == SARSEN_INVALID_ARGUMENT);
    CHECK(error != NULL && second != NULL && error != second);
    message = strdup(sarsen_error_message(error));
    check_close(store);
    sarsen_error_free(second);
    CHECK(strcmp(sarsen_error_message(error), message) == 0);
    CHECK(message[0] != '\0');
    CHECK(sarsen_error_offset(error) == 0);
    sarsen_error_free(error);
    free(message);
}

static void a_call_that_is_given_no_error_slot_answers_the_same(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_view view;
    CHECK(sarsen_kv_set(store, NULL, 1, STR("value"), NULL) == SARSEN_INVALID_ARGUMENT);
    CHECK(sarsen_kv_set(store, STR("key"), STR("value"), NULL) == SARSEN_OK);
    CHECK(sarsen_kv_get(store, NULL, STR("none"), &view, NULL) == SARSEN_NOT_FOUND);
    CHECK(sarsen_store_close(store, NULL) == SARSEN_OK);
}

static const check_case cases[] = {
    CASE(every_status_has_its_own_name),
    CASE(unknown_statuses_have_a_name_too),
    CASE(version_is_dotted_numbers),
    CASE(a_null_error_reads_as_nothing),
    CASE(a_system_error_carries_errno),
    CASE(an_argument_error_names_no_file_and_no_commit),
    CASE(an_error_outlives_the_store_and_belongs_to_the_caller),
    CASE(a_call_that_is_given_no_error_slot_answers_the_same),
};
CHECK_MAIN(cases)
