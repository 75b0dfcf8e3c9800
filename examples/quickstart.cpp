// The quickstart in C++17: the C header is all there is to include, and a handful of lines give each object an
// owner and each failure an exception.
//
//   quickstart_cpp [directory]
#include "scratch.h"

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

// ---- owners: what the library hands out goes back through the one function made for it ---------------

template <auto Free> struct Freed {
    template <typename T> void operator()(T *object) const { Free(object); }
};
using Tags = std::unique_ptr<sarsen_tags, Freed<sarsen_tags_free>>;
using Batch = std::unique_ptr<sarsen_batch, Freed<sarsen_batch_free>>;
using Snapshot = std::unique_ptr<sarsen_snapshot, Freed<sarsen_snapshot_free>>;
using MemoryIter = std::unique_ptr<sarsen_memory_iter, Freed<sarsen_memory_iter_free>>;

// ---- failures: every status other than OK is thrown, with the library's message -------------------------

class Failure : public std::runtime_error {
  public:
    Failure(sarsen_status status, const std::string &message) : std::runtime_error(message), status_(status) {}
    sarsen_status status() const { return status_; }

  private:
    sarsen_status status_;
};

// Calls a function of the library with these arguments and a place for its error. Expected answers (NOT_FOUND, END,
// TIMEOUT) are returned, failures thrown.
template <typename... Takes, typename... Given>
sarsen_status answer(sarsen_status (*function)(Takes...), Given &&...given) {
    sarsen_error *error = nullptr;
    sarsen_status status = function(std::forward<Given>(given)..., &error);
    if (error == nullptr) return status;
    Failure failure(status, sarsen_error_message(error));
    sarsen_error_free(error);
    throw failure;
}

template <typename Function, typename... Given> void must(Function *function, Given &&...given) {
    sarsen_status status = answer(function, std::forward<Given>(given)...);
    if (status != SARSEN_OK) throw Failure(status, sarsen_status_name(status));
}

// ---- a view that releases itself, and a store that closes itself ------------------------------------------

class View {
  public:
    View() = default;
    View(View &&other) noexcept : view_(std::exchange(other.view_, sarsen_view{})) {}
    View &operator=(View &&other) noexcept {
        std::swap(view_, other.view_);
        return *this;
    }
    ~View() { sarsen_view_release(&view_); }
    sarsen_view *out() { return &view_; }
    std::string_view text() const { return {reinterpret_cast<const char *>(view_.data), view_.len}; }

  private:
    sarsen_view view_{};
};

class Store {
  public:
    explicit Store(const std::string &path) { must(sarsen_store_open, path.c_str(), nullptr, &store_); }
    Store(const Store &) = delete;
    Store &operator=(const Store &) = delete;
    ~Store() {
        if (store_ != nullptr) sarsen_store_close(store_, nullptr);
    }
    operator const sarsen_store *() const { return store_; }

    // Closing can fail, and a destructor can't say so.
    void close() { must(sarsen_store_close, std::exchange(store_, nullptr)); }

  private:
    sarsen_store *store_ = nullptr;
};

// ---- the program --------------------------------------------------------------------------------------------

Tags tags_of(std::initializer_list<std::string_view> names) {
    Tags tags(sarsen_tags_new());
    for (std::string_view name : names) {
        sarsen_status status = sarsen_tags_add(tags.get(), name.data(), name.size());
        if (status != SARSEN_OK) throw Failure(status, "not a tag: " + std::string(name));
    }
    return tags;
}

void add_note(const Batch &batch, std::uint64_t id, std::initializer_list<std::string_view> tags,
              std::string_view text) {
    Tags set = tags_of(tags);
    must(sarsen_batch_append_memory, batch.get(), id, set.get(), text.data(), text.size());
}

std::vector<std::uint64_t> find(const Store &store, const Snapshot &snapshot, const Tags &all, const Tags &none) {
    sarsen_memory_iter *started = nullptr;
    must(sarsen_memory_find, store, snapshot.get(), all.get(), nullptr, none.get(), 0, &started);
    MemoryIter found(started);
    std::vector<std::uint64_t> ids;
    std::uint64_t id = 0;
    sarsen_bytes text{};
    while (answer(sarsen_memory_iter_next, found.get(), &id, &text) == SARSEN_OK) {
        std::printf("note %" PRIu64 ": %.*s\n", id, static_cast<int>(text.len),
                    reinterpret_cast<const char *>(text.data));
        ids.push_back(id);
    }
    return ids;
}

void run(const std::string &path) {
    Store store(path);

    Batch batch(sarsen_batch_new());
    add_note(batch, 1, {"topic:stones", "state:done"}, "Moved by hand and by water.");
    add_note(batch, 2, {"topic:stones"}, "They are still standing.");
    add_note(batch, 3, {"topic:wood"}, "Gone since the first winter.");
    must(sarsen_batch_set_kv, batch.get(), "theme", 5, "dark", 4);
    must(sarsen_batch_append_stream, batch.get(), "history", 7, "3 notes", 7);
    std::uint64_t seq = 0;
    must(sarsen_batch_commit, batch.get(), store, SARSEN_SURVIVE_POWER, &seq);
    std::printf("commit %" PRIu64 " holds 3 notes, a setting and a line of history\n", seq);

    // Whatever is written from here on, the snapshot keeps showing the state of now.
    sarsen_snapshot *taken = nullptr;
    must(sarsen_snapshot_new, store, &taken);
    Snapshot snapshot(taken);
    must(sarsen_memory_delete, store, 2);

    Tags stones = tags_of({"topic:stones"}), done = tags_of({"state:done"});
    EXPECT((find(store, snapshot, stones, done) == std::vector<std::uint64_t>{2}));
    EXPECT(find(store, nullptr, stones, done).empty());

    View theme;
    must(sarsen_kv_get, store, nullptr, "theme", 5, theme.out());
    View missing;
    EXPECT(answer(sarsen_kv_get, store, nullptr, "no such key", 11, missing.out()) == SARSEN_NOT_FOUND);

    // A failure arrives as an exception: the store is open for writing already, here.
    bool refused = false;
    try {
        Store again(path);
    } catch (const Failure &failure) {
        refused = failure.status() == SARSEN_LOCKED;
        std::printf("a second writer is refused: %s\n", failure.what());
    }
    EXPECT(refused);

    snapshot.reset();
    store.close();
    EXPECT(theme.text() == "dark"); // a view outlives the store
}

} // namespace

int main(int argc, char **argv) {
    scratch place = scratch_open(argc > 1 ? argv[1] : nullptr);
    try {
        run(place.store);
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "failed: %s\n", failure.what());
        return EXIT_FAILURE;
    }
    scratch_close(&place);
    return EXIT_SUCCESS;
}
