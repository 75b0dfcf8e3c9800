// The half of test_cpp_mixed whose failures are returned.
#define SARSEN_NO_EXCEPTIONS
#include <sarsen.hpp>

std::string value_by_returned_failures(const std::string &path, std::uint32_t *status);
std::string value_by_returned_failures(const std::string &path, std::uint32_t *status) {
    sarsen::expected<void> written = sarsen::store().kv_set("k", "v");
    *status = written ? SARSEN_OK : static_cast<std::uint32_t>(written.error().status());
    sarsen::expected<sarsen::store> store = sarsen::store::open(path);
    if (!store) return store.error().what();
    sarsen::expected<std::optional<sarsen::view>> value = store->kv_get("k");
    return value && *value ? (*value)->str() : "nothing";
}
