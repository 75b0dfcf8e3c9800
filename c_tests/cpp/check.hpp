// What the tests of sarsen.hpp share: checks that say where, temporary directories, and one way to write a test for
// both kinds of failure. Each source is built with thrown and with returned failures, and as C++17 and C++20.
#ifndef SARSEN_CPP_CHECK_HPP
#define SARSEN_CPP_CHECK_HPP

#include <sarsen.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#define CHECK(condition)                                                                                 \
    do {                                                                                                 \
        if (!(condition)) {                                                                              \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);               \
            std::exit(EXIT_FAILURE);                                                                     \
        }                                                                                                \
    } while (0)

// What a call answers, which must be a success; FAILS: the status of one that must fail.
#ifdef SARSEN_NO_EXCEPTIONS
template <class T> T must(sarsen::expected<T> answer, const char *file, int line) {
    if (!answer) {
        std::fprintf(stderr, "%s:%d: %s\n", file, line, answer.error().what());
        std::exit(EXIT_FAILURE);
    }
    if constexpr (!std::is_void_v<T>) return *std::move(answer);
}
#define MUST(call) must((call), __FILE__, __LINE__)
template <class Call> sarsen::error failure_of(Call call, const char *file, int line) {
    auto answer = call();
    if (answer) {
        std::fprintf(stderr, "%s:%d: did not fail\n", file, line);
        std::exit(EXIT_FAILURE);
    }
    return answer.error();
}
#else
#define MUST(call) (call)
template <class Call> sarsen::error failure_of(Call call, const char *file, int line) {
    try {
        static_cast<void>(call());
    } catch (const sarsen::error &failure) {
        return failure;
    }
    std::fprintf(stderr, "%s:%d: did not fail\n", file, line);
    std::exit(EXIT_FAILURE);
}
#endif
#define FAILURE(call) failure_of([&] { return (call); }, __FILE__, __LINE__)
#define CHECK_FAILS(expected_status, call) CHECK(FAILURE(call).status() == sarsen::status::expected_status)

// A directory of this name within this program's own, made anew.
std::string place(const std::string &name);

using test_function = void (*)();
struct test {
    const char *name;
    test_function run;
};
#define TEST(function) {#function, function}

// The tests of each source.
struct tests {
    const test *first;
    std::size_t count;
};
tests data_tests();
tests commit_tests();
tests life_tests();

#endif
