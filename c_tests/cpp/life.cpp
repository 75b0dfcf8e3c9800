// Lifetimes and failures through sarsen.hpp: what may outlive what, moves, closing; and upkeep, backup, verify.
#include "check.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

static_assert(!std::is_copy_constructible_v<sarsen::store> && std::is_move_constructible_v<sarsen::store>);
static_assert(!std::is_copy_constructible_v<sarsen::snapshot> && std::is_move_assignable_v<sarsen::snapshot>);
static_assert(!std::is_copy_constructible_v<sarsen::view> && std::is_nothrow_move_constructible_v<sarsen::view>);
static_assert(!std::is_copy_constructible_v<sarsen::batch> && std::is_move_constructible_v<sarsen::batch>);
static_assert(!std::is_copy_constructible_v<sarsen::kv_scan> && std::is_move_constructible_v<sarsen::kv_scan>);
static_assert(!std::is_copy_constructible_v<sarsen::tags> && !std::is_copy_constructible_v<sarsen::log_reader>);

std::uint64_t pinned(const sarsen::store &store) { return MUST(store.stats()).pinned_views; }

void views_outlive_their_store_and_are_released_once() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    std::string large(100000, 'x');
    MUST(store.kv_set("k", large));
    MUST(store.checkpoint());
    {
        sarsen::view first = *MUST(store.kv_get("k"));
        CHECK(pinned(store) == 1);
        sarsen::view second = std::move(first);
        CHECK(pinned(store) == 1 && second.text() == large);
        first = std::move(second);
        sarsen::view third(std::move(first));
        CHECK(pinned(store) == 1);
        third = *MUST(store.kv_get("k"));
        CHECK(pinned(store) == 1);
        third.release();
        CHECK(pinned(store) == 0);
        sarsen::values many = MUST(store.kv_get_many({"k", "k"}));
        CHECK(pinned(store) == 2);
        std::optional<sarsen::view> taken = many.take(0);
        CHECK(pinned(store) == 2);
        many = sarsen::values(0);
        CHECK(pinned(store) == 1);
    }
    CHECK(pinned(store) == 0);
    sarsen::view kept = *MUST(store.kv_get("k"));
    MUST(store.close());
    CHECK(kept.text() == large);
}

void what_a_closed_store_made_answers_and_goes() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    MUST(store.kv_set("k", "v"));
    sarsen::snapshot snapshot = MUST(store.snapshot());
    sarsen::kv_scan scan = MUST(store.kv_scan());
    sarsen::log_reader log = MUST(store.log_read(1));
    sarsen::batch batch;
    sarsen::ticket ticket = MUST(store.commit(batch.kv_set("l", "w")));
    MUST(store.close());
    CHECK(!store.is_open() && store.handle() == nullptr);
    CHECK_FAILS(invalid_argument, snapshot.kv_get("k"));
    CHECK_FAILS(invalid_argument, scan.next());
    CHECK_FAILS(invalid_argument, log.next());
    CHECK_FAILS(invalid_argument, ticket.wait());
    CHECK_FAILS(invalid_argument, store.kv_set("k", "v"));
    MUST(store.close());

    // Going out of scope closes, whatever is left of it.
    {
        sarsen::store again = MUST(sarsen::store::open(place("store")));
        snapshot = MUST(again.snapshot());
    }
    CHECK_FAILS(invalid_argument, snapshot.kv_get("k"));
    sarsen::store third = MUST(sarsen::store::open(place("store")));
    CHECK(third.last_seq() == 2);
}

void a_moved_store_is_the_same_one_and_an_empty_one_answers() {
    sarsen::store store = MUST(sarsen::store::open(place("one")));
    sarsen::snapshot snapshot = MUST(store.snapshot());
    sarsen::store moved = std::move(store);
    MUST(moved.kv_set("k", "v"));
    CHECK(!MUST(snapshot.kv_get("k")));
    CHECK_FAILS(invalid_argument, sarsen::store().kv_set("k", "v"));
    CHECK_FAILS(invalid_argument, sarsen::snapshot().kv_get("k"));
    MUST(sarsen::store().close());
    // Assigning closes what was there: it can be opened for writing again.
    moved = MUST(sarsen::store::open(place("two")));
    CHECK_FAILS(invalid_argument, snapshot.kv_get("k"));
    CHECK(MUST(MUST(sarsen::store::open(place("one"))).kv_get("k"))->text() == "v");
}

void a_snapshot_reads_as_the_store_stood() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    sarsen::tags tags = MUST(sarsen::tags::of({"t"}));
    MUST(store.kv_set("k", "old"));
    MUST(store.stream_append("s", "r"));
    MUST(store.memory_append(1, "m", tags));
    sarsen::snapshot snapshot = MUST(store.snapshot());
    CHECK(snapshot.seq() == 3 && snapshot.handle() != nullptr);
    MUST(store.kv_set("k", "new"));
    MUST(store.stream_drop("s"));
    MUST(store.memory_delete(1));
    CHECK(MUST(snapshot.kv_get("k"))->text() == "old" && MUST(store.kv_get("k"))->text() == "new");
    CHECK(MUST(snapshot.stream_bounds("s"))->next == 1 && MUST(snapshot.memory_get(1))->text() == "m");
    CHECK(MUST(MUST(snapshot.memory_find()).next_id()) == std::uint64_t{1});
    CHECK(MUST(MUST(snapshot.kv_scan()).next())->value == "old");

    MUST(snapshot.backup(place("then")));
    MUST(store.backup(place("now")));
    CHECK(MUST(MUST(sarsen::store::open(place("then"))).kv_get("k"))->text() == "old");
    CHECK(MUST(MUST(sarsen::store::open(place("now"))).kv_get("k"))->text() == "new");
    CHECK(MUST(store.stats()).oldest_snapshot_seq == 3);
    snapshot = sarsen::snapshot();
    CHECK(MUST(store.stats()).oldest_snapshot_seq == 0);
}

void an_error_says_what_and_where() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    sarsen::error failure = FAILURE(sarsen::store::open(place("store")));
    CHECK(failure.status() == sarsen::status::locked && std::string(failure.what()).size() > 10);
    sarsen::error copy = failure;
    CHECK(copy.what() == failure.what() && copy.first_seq() == 0 && copy.last_seq() == 0);
    CHECK(std::string(sarsen::status_name(failure.status())) == "SARSEN_LOCKED");
    // A status without an error object has its name.
    sarsen::tags tags;
    CHECK(std::string(FAILURE(tags.add("")).what()) == "SARSEN_INVALID_ARGUMENT");

    MUST(store.close());
    std::filesystem::path manifest = std::filesystem::path(place("store")) / "MANIFEST";
    std::filesystem::resize_file(manifest, 3);
    sarsen::error damaged = FAILURE(sarsen::store::open(place("store")));
    CHECK(damaged.status() == sarsen::status::corrupt && damaged.file() == "MANIFEST");
    CHECK(damaged.os_code() == 0 && damaged.offset() <= 3);
    sarsen::error refused = FAILURE(sarsen::store::open(place("missing/store")));
    CHECK(refused.status() == sarsen::status::io && refused.os_code() == ENOENT);
}

void upkeep_and_figures() {
    sarsen::options how;
    how.background = false;
    sarsen::store store = MUST(sarsen::store::open(place("store"), how));
    CHECK(MUST(store.recovery()).verdict == sarsen::verdict::clean && MUST(store.recovery()).last_seq == 0);
    for (int key = 0; key < 100; key++) MUST(store.kv_set(std::to_string(key), std::string(1000, 'v')));
    MUST(store.checkpoint());
    MUST(store.compact());
    while (MUST(store.maintain(std::chrono::milliseconds(1)))) {
    }
    CHECK(MUST(store.stats()).kv_count == 100 && MUST(store.refresh()) == 100);
    CHECK(!MUST(MUST(store.verify()).next()));
}

void verify_lists_damage_and_a_scan_stops_at_it() {
    std::string path = place("store");
    sarsen::store store = MUST(sarsen::store::open(path));
    MUST(store.kv_set("a", "fine"));
    MUST(store.kv_set("b", std::string(100000, 'v')));
    MUST(store.kv_set("c", "fine"));
    MUST(store.compact());
    MUST(store.close());
    // Turns a byte of the value over, wherever it lies.
    bool turned = false;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(path)) {
        if (!entry.is_regular_file() || turned) continue;
        std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
        std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        std::size_t at = content.find(std::string(100000, 'v'));
        if (at == std::string::npos) continue;
        file.clear();
        file.seekp(static_cast<std::streamoff>(at) + 500);
        file.put('w');
        turned = true;
    }
    CHECK(turned);

    store = MUST(sarsen::store::open(path));
    int findings = 0;
    for (const sarsen::finding &finding : MUST(store.verify())) {
        CHECK(!finding.file.empty() && !finding.what.empty());
        findings++;
    }
    CHECK(findings >= 1);
    CHECK_FAILS(corrupt, store.kv_get("b"));
    sarsen::kv_scan scan = MUST(store.kv_scan());
    int seen = 0;
#ifdef SARSEN_NO_EXCEPTIONS
    for (const sarsen::kv_entry &entry : scan) seen += entry.value == "fine";
    CHECK(scan.failure() && scan.failure()->status() == sarsen::status::corrupt);
#else
    try {
        for (const sarsen::kv_entry &entry : scan) seen += entry.value == "fine";
        CHECK(false);
    } catch (const sarsen::error &failure) {
        CHECK(failure.status() == sarsen::status::corrupt && !failure.file().empty());
    }
#endif
    CHECK(seen == 1);
    // The scan goes on behind it.
    CHECK(MUST(scan.next())->key == "c" && !MUST(scan.next()));
}

void a_reader_refreshes_and_an_import_is_whole() {
    sarsen::store writer = MUST(sarsen::store::open(place("store")));
    MUST(writer.kv_set("k", "one"));
    sarsen::options how;
    how.read_only = true;
    sarsen::store reader = MUST(sarsen::store::open(place("store"), how));
    MUST(writer.kv_set("k", "two"));
    CHECK(MUST(reader.kv_get("k"))->text() == "one");
    CHECK(MUST(reader.refresh()) == 2 && MUST(reader.kv_get("k"))->text() == "two");
    CHECK_FAILS(read_only, reader.kv_set("k", "three"));

    std::filesystem::create_directories(place("ancestral/blocks"));
    std::ofstream(place("ancestral/state.wal"));
    sarsen::store taken = MUST(sarsen::store::open(place("taken")));
    CHECK(MUST(taken.import(place("ancestral"))) == 0);
    CHECK_FAILS(invalid_argument, writer.import(place("ancestral")));
}

void the_library_names_itself() {
    CHECK(sarsen::abi_version() == 0); // The number in the soname.
    CHECK(std::string(sarsen::version()).find('.') != std::string::npos);
}

const test all[] = {
    TEST(views_outlive_their_store_and_are_released_once),
    TEST(what_a_closed_store_made_answers_and_goes),
    TEST(a_moved_store_is_the_same_one_and_an_empty_one_answers),
    TEST(a_snapshot_reads_as_the_store_stood),
    TEST(an_error_says_what_and_where),
    TEST(upkeep_and_figures),
    TEST(verify_lists_damage_and_a_scan_stops_at_it),
    TEST(a_reader_refreshes_and_an_import_is_whole),
    TEST(the_library_names_itself),
};

} // namespace

tests life_tests() { return {all, sizeof all / sizeof all[0]}; }
