// Runs the tests of sarsen.hpp, each in a directory of its own.
#include "check.hpp"

#include <filesystem>
#include <unistd.h>

static std::filesystem::path directory;

std::string place(const std::string &name) { return (directory / name).string(); }

int main() {
    std::string root = std::filesystem::temp_directory_path() / ("sarsen-cpp-" + std::to_string(getpid()));
    int count = 0;
    for (const tests &some : {data_tests(), commit_tests(), life_tests()}) {
        for (const test *each = some.first; each != some.first + some.count; each++) {
            directory = std::filesystem::path(root) / each->name;
            std::filesystem::create_directories(directory);
            std::printf("%s\n", each->name);
            std::fflush(stdout);
            each->run();
            count++;
        }
    }
    std::filesystem::remove_all(root);
    std::printf("%d passed, 0 failed\n", count);
    return EXIT_SUCCESS;
}
