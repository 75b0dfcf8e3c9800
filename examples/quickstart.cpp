// The quickstart in C++17: notes found by their tags, a setting and a line of history in one commit; a snapshot; and a
// failure as an exception. docs/cpp.md tells the rest.
//
//   quickstart_cpp [directory]
#include "scratch.h"

#include <cinttypes>
#include <sarsen.hpp>

namespace {

std::vector<std::uint64_t> find(const sarsen::reader &state, const sarsen::query &which) {
    std::vector<std::uint64_t> ids;
    for (const auto &[id, text] : state.memory_find(which)) {
        std::printf("note %" PRIu64 ": %s\n", id, text.str().c_str());
        ids.push_back(id);
    }
    return ids;
}

void run(const std::string &path) {
    sarsen::store store = sarsen::store::open(path);

    sarsen::batch batch;
    batch.memory_append(1, "Moved by hand and by water.", {"topic:stones", "state:done"})
        .memory_append(2, "They are still standing.", {"topic:stones"})
        .memory_append(3, "Gone since the first winter.", {"topic:wood"})
        .kv_set("theme", "dark")
        .stream_append("history", "3 notes");
    sarsen::ticket ticket = store.commit(batch, sarsen::survive::power);
    std::printf("commit %" PRIu64 " holds 3 notes, a setting and a line of history\n", ticket.seq());

    // Whatever is written from here on, the snapshot keeps showing the state of now.
    sarsen::snapshot snapshot = store.snapshot();
    store.memory_delete(2);

    sarsen::query open_stones;
    open_stones.all = {"topic:stones"};
    open_stones.none = {"state:done"};
    EXPECT((find(snapshot, open_stones) == std::vector<std::uint64_t>{2}));
    EXPECT(find(store, open_stones).empty());

    std::optional<sarsen::view> theme = store.kv_get("theme");
    EXPECT(theme.has_value());
    EXPECT(!store.kv_get("no such key"));

    // A failure arrives as an exception: the store is open for writing already, here.
    bool refused = false;
    try {
        sarsen::store::open(path);
    } catch (const sarsen::error &failure) {
        refused = failure.status() == sarsen::status::locked;
        std::printf("a second writer is refused: %s\n", failure.what());
    }
    EXPECT(refused);

    store.close(); // says what the destructor can't
    EXPECT(theme->text() == "dark"); // a view outlives the store
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
