// The ground sarsen.hpp stands on: named numbers, bytes, failures, owners and ranges. Include sarsen.hpp.
#ifndef SARSEN_BASE_HPP
#define SARSEN_BASE_HPP

#include "../sarsen.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L
#include <span>
#endif

#if !defined(SARSEN_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define SARSEN_NO_EXCEPTIONS
#endif
#ifdef SARSEN_NO_EXCEPTIONS
#define SARSEN_FAILURES returned
#else
#define SARSEN_FAILURES thrown
#endif
#ifdef __clang__
#define SARSEN_INSIDE_THIS [[clang::lifetimebound]]
#else
#define SARSEN_INSIDE_THIS
#endif

namespace sarsen {
// What differs by the kind of failure has names of its own, so that both can be linked into one program.
inline namespace SARSEN_FAILURES {

// ---- numbers that have names -----------------------------------------------------------------------------

enum class status : std::uint32_t {
    ok = SARSEN_OK,
    not_found = SARSEN_NOT_FOUND,
    end = SARSEN_END,
    timeout = SARSEN_TIMEOUT,
    invalid_argument = SARSEN_INVALID_ARGUMENT,
    io = SARSEN_IO,
    no_space = SARSEN_NO_SPACE,
    corrupt = SARSEN_CORRUPT,
    locked = SARSEN_LOCKED,
    not_a_store = SARSEN_NOT_A_STORE,
    version = SARSEN_VERSION,
    read_only = SARSEN_READ_ONLY,
    too_large = SARSEN_TOO_LARGE,
    poisoned = SARSEN_POISONED,
    forked = SARSEN_FORKED,
    conflict = SARSEN_CONFLICT,
    internal = SARSEN_INTERNAL,
};

// What a commit survives; by_default is what the store was opened with.
enum class survive : std::uint32_t { by_default = 0, process = SARSEN_SURVIVE_PROCESS, power = SARSEN_SURVIVE_POWER };
enum class check : std::uint32_t { first_touch = SARSEN_CHECK_FIRST_TOUCH, every_read = SARSEN_CHECK_EVERY_READ };
enum class log_write : std::uint32_t {
    automatic = SARSEN_LOG_AUTO,
    mapped = SARSEN_LOG_MAPPED,
    written = SARSEN_LOG_WRITTEN
};
enum class verdict : std::uint32_t {
    clean = SARSEN_RECOVERY_CLEAN,
    replayed = SARSEN_RECOVERY_REPLAYED,
    torn_tail = SARSEN_RECOVERY_TORN_TAIL,
    damaged = SARSEN_RECOVERY_DAMAGED
};
enum class command_kind : std::uint32_t {
    append_block = SARSEN_COMMAND_APPEND_BLOCK,
    free_block = SARSEN_COMMAND_FREE_BLOCK,
    append_memory = SARSEN_COMMAND_APPEND_MEMORY,
    delete_memory = SARSEN_COMMAND_DELETE_MEMORY,
    set_kv = SARSEN_COMMAND_SET_KV,
    delete_kv = SARSEN_COMMAND_DELETE_KV,
    append_stream = SARSEN_COMMAND_APPEND_STREAM,
    trim_stream = SARSEN_COMMAND_TRIM_STREAM
};

// ---- library ------------------------------------------------------------------------------------------------

inline std::uint32_t abi_version() noexcept { return sarsen_abi_version(); }
inline const char *version() noexcept { return sarsen_version(); }
// Such as "SARSEN_NOT_FOUND".
inline const char *status_name(status which) noexcept {
    return sarsen_status_name(static_cast<sarsen_status>(which));
}

using block = sarsen_block;
using stats = sarsen_stats;

// Bytes that something else owns. Keys and names are bytes, too: any byte may be in them.
class bytes {
  public:
    constexpr bytes() noexcept : raw_{nullptr, 0} {}
    bytes(const void *data, std::size_t size) noexcept : raw_{static_cast<const std::uint8_t *>(data), size} {}
    bytes(const char *text) noexcept : bytes(std::string_view(text)) {}
    bytes(sarsen_bytes raw) noexcept : raw_(raw) {}
    bytes(std::nullptr_t) = delete;
    // Anything contiguous whose elements are one byte: std::string, std::vector<std::byte>, std::span, std::array.
    template <class Container, class Element = decltype(*std::declval<const Container &>().data()),
              class = decltype(std::declval<const Container &>().size()),
              class = std::enable_if_t<sizeof(Element) == 1 && !std::is_same_v<Container, bytes>>>
    bytes(const Container &from) noexcept : bytes(from.data(), from.size()) {}

    const std::uint8_t *data() const noexcept { return raw_.data; }
    std::size_t size() const noexcept { return raw_.len; }
    bool empty() const noexcept { return raw_.len == 0; }
    const std::uint8_t *begin() const noexcept { return raw_.data; }
    const std::uint8_t *end() const noexcept { return raw_.data + raw_.len; }
    std::string_view text() const noexcept { return {reinterpret_cast<const char *>(raw_.data), raw_.len}; }
    std::string str() const { return std::string(text()); }
    operator std::string_view() const noexcept { return text(); }
#if __cplusplus >= 202002L
    std::span<const std::byte> span() const noexcept {
        return {reinterpret_cast<const std::byte *>(raw_.data), raw_.len};
    }
#endif
    friend bool operator==(bytes one, bytes other) noexcept { return one.text() == other.text(); }
    friend bool operator!=(bytes one, bytes other) noexcept { return !(one == other); }
    friend bool operator<(bytes one, bytes other) noexcept { return one.text() < other.text(); }

  private:
    sarsen_bytes raw_;
};
static_assert(sizeof(bytes) == sizeof(sarsen_bytes) && std::is_standard_layout_v<bytes>,
              "an array of bytes is an array of sarsen_bytes");

// Room for bytes that the library writes.
class buffer {
  public:
    buffer(void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class Container, class Element = std::remove_reference_t<decltype(*std::declval<Container &>().data())>,
              class = decltype(std::declval<Container &>().size()),
              class = std::enable_if_t<sizeof(Element) == 1 && !std::is_const_v<Element>>>
    buffer(Container &&room) noexcept : buffer(room.data(), room.size()) {}
    void *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

  private:
    void *data_;
    std::size_t size_;
};

// ---- failures -------------------------------------------------------------------------------------------------

// What went wrong and what to do about it. Copying shares it.
class error : public std::exception {
  public:
    error(sarsen::status status, sarsen_error *owned) : status_(status), error_(owned, sarsen_error_free) {}

    sarsen::status status() const noexcept {
        return error_ ? static_cast<sarsen::status>(sarsen_error_status(error_.get())) : status_;
    }
    const char *what() const noexcept override {
        return error_ ? sarsen_error_message(error_.get()) : status_name(status_);
    }
    // errno where the system refused something; 0: not from the system.
    std::int32_t os_code() const noexcept { return error_ ? sarsen_error_os_code(error_.get()) : 0; }
    // The file concerned, as a path within the store; empty: none.
    std::string_view file() const noexcept {
        const char *name = error_ ? sarsen_error_file(error_.get()) : nullptr;
        return name ? std::string_view(name) : std::string_view();
    }
    std::uint64_t offset() const noexcept { return error_ ? sarsen_error_offset(error_.get()) : 0; }
    // The commits concerned; 0: none is known.
    std::uint64_t first_seq() const noexcept { return error_ ? sarsen_error_first_seq(error_.get()) : 0; }
    std::uint64_t last_seq() const noexcept { return error_ ? sarsen_error_last_seq(error_.get()) : 0; }

  private:
    sarsen::status status_;
    std::shared_ptr<sarsen_error> error_;
};

#ifdef SARSEN_NO_EXCEPTIONS
// A value, or why there is none: what std::expected is from C++23 on. Looking at what is not there is undefined.
template <class T> class [[nodiscard]] expected {
  public:
    expected(T value) : value_(std::move(value)) {}
    expected(sarsen::error failure) : failure_(std::move(failure)) {}
    bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    T &operator*() & noexcept { return *value_; }
    const T &operator*() const & noexcept { return *value_; }
    // By value, so that a range-based for over a temporary keeps it alive.
    T operator*() && { return std::move(*value_); }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }
    const sarsen::error &error() const noexcept { return *failure_; }

  private:
    std::optional<T> value_;
    std::optional<sarsen::error> failure_;
};

template <> class [[nodiscard]] expected<void> {
  public:
    expected() = default;
    expected(sarsen::error failure) : failure_(std::move(failure)) {}
    bool has_value() const noexcept { return !failure_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    const sarsen::error &error() const noexcept { return *failure_; }

  private:
    std::optional<sarsen::error> failure_;
};

template <class T> using result = expected<T>;
#else
template <class T> using result = T;
#endif

namespace detail {

template <auto Free> struct freed {
    template <class T> void operator()(T *object) const noexcept { Free(object); }
};
template <class T, auto Free> using owner = std::unique_ptr<T, freed<Free>>;

// One call into the library: its status, its error, and what the caller makes of them.
class call {
  public:
    call() = default;
    call(sarsen_status status) : status_(status) {}
    call(const call &) = delete;
    call &operator=(const call &) = delete;
    ~call() {
        if (error_ != nullptr) sarsen_error_free(error_);
    }
    call &operator=(sarsen_status status) noexcept {
        status_ = status;
        return *this;
    }

    sarsen_error **error() noexcept { return &error_; }
    sarsen_status status() const noexcept { return status_; }
    bool ok() const noexcept { return status_ == SARSEN_OK; }
    sarsen::error failure() { return {static_cast<sarsen::status>(status_), std::exchange(error_, nullptr)}; }

    template <class T> result<T> fail() {
#ifdef SARSEN_NO_EXCEPTIONS
        return failure();
#else
        throw failure();
#endif
    }
    result<void> done() { return ok() ? result<void>() : fail<void>(); }
    template <class T> result<T> value(T value) {
        if (!ok()) return fail<T>();
        return result<T>(std::move(value));
    }
    // Empty where the answer is `absent`, which is no failure.
    template <class T> result<std::optional<T>> unless(sarsen_status absent, T value) {
        if (status_ == absent) return result<std::optional<T>>(std::nullopt);
        if (!ok()) return fail<std::optional<T>>();
        return result<std::optional<T>>(std::move(value));
    }
    // Whether it was OK rather than `absent`.
    result<bool> rather_than(sarsen_status absent) {
        if (status_ != absent && !ok()) return fail<bool>();
        return result<bool>(ok());
    }

  private:
    sarsen_status status_ = SARSEN_OK;
    sarsen_error *error_ = nullptr;
};

inline std::uint64_t microseconds(std::chrono::microseconds time) noexcept {
    return time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
}

// The open store, shared by what reads from it, so that a snapshot may outlive it.
struct core {
    explicit core(sarsen_store *opened) noexcept : store(opened) {}
    core(const core &) = delete;
    core &operator=(const core &) = delete;
    ~core() { close(nullptr); }
    // Callbacks of close may use the handle, which refuses them; so it is there until close has ended.
    sarsen_status close(sarsen_error **error) noexcept {
        sarsen_status status = sarsen_store_close(store.load(std::memory_order_acquire), error);
        store.store(nullptr, std::memory_order_release);
        return status;
    }
    std::atomic<sarsen_store *> store;
};

struct end_of_range {};

// What Derived::next() answers, one after another: an input range. It is walked once, and its iterators point into it.
// With returned failures it ends at one, which failure() tells.
template <class Derived, class Item> class range {
  public:
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Item;
        using difference_type = std::ptrdiff_t;
        using pointer = const Item *;
        using reference = const Item &;
        iterator() = default;
        explicit iterator(range *of) noexcept : range_(of) {}
        const Item &operator*() const noexcept { return *range_->current_; }
        const Item *operator->() const noexcept { return &*range_->current_; }
        iterator &operator++() {
            range_->advance();
            return *this;
        }
        void operator++(int) { range_->advance(); }
        bool at_end() const noexcept { return !range_->current_.has_value(); }
        friend bool operator==(const iterator &at, end_of_range) noexcept { return at.at_end(); }
        friend bool operator!=(const iterator &at, end_of_range) noexcept { return !at.at_end(); }
        friend bool operator==(end_of_range, const iterator &at) noexcept { return at.at_end(); }
        friend bool operator!=(end_of_range, const iterator &at) noexcept { return !at.at_end(); }

      private:
        range *range_ = nullptr;
    };

    iterator begin() {
        advance();
        return iterator(this);
    }
    end_of_range end() const noexcept { return {}; }
#ifdef SARSEN_NO_EXCEPTIONS
    // What ended the walk before its end; NULL: nothing did.
    const sarsen::error *failure() const noexcept { return failure_ ? &*failure_ : nullptr; }
#endif

  private:
    void advance() {
        current_.reset();
        result<std::optional<Item>> item = static_cast<Derived *>(this)->next();
#ifdef SARSEN_NO_EXCEPTIONS
        if (item)
            current_ = *std::move(item);
        else
            failure_ = item.error();
#else
        current_ = std::move(item);
#endif
    }
    std::optional<Item> current_;
#ifdef SARSEN_NO_EXCEPTIONS
    std::optional<sarsen::error> failure_;
#endif
};

} // namespace detail
} // namespace SARSEN_FAILURES
} // namespace sarsen

#endif
