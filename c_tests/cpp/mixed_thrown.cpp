// One program with both kinds of failure, each in a source file of its own, on one store after the other.
#include <sarsen.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <unistd.h>

// In mixed_returned.cpp: the value of "k" in the store there, and the status of a write to a store that is not open.
std::string value_by_returned_failures(const std::string &path, std::uint32_t *status);

int main() {
    std::string path = (std::filesystem::temp_directory_path() / ("sarsen-mixed-" + std::to_string(getpid()))).string();
    sarsen::store::open(path).kv_set("k", "v");
    std::uint32_t returned = 0, thrown = 0;
    std::string value = value_by_returned_failures(path, &returned);
    try {
        sarsen::store().kv_set("k", "v");
    } catch (const sarsen::error &failure) {
        thrown = static_cast<std::uint32_t>(failure.status());
    }
    std::filesystem::remove_all(path);
    if (value != "v" || returned != SARSEN_INVALID_ARGUMENT || thrown != returned) {
        std::fprintf(stderr, "value \"%s\", returned %u, thrown %u\n", value.c_str(), returned, thrown);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
