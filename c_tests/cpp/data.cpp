// The four kinds of data through sarsen.hpp: reads of every sort, scans as ranges, fills, bytes in and out.
#include "check.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>
#if __cplusplus >= 202002L
#include <ranges>
#endif

using namespace std::string_literals;

namespace {

sarsen::store filled_store() {
    sarsen::options how;
    how.durability = sarsen::survive::process;
    sarsen::store store = MUST(sarsen::store::open(place("store"), how));
    for (const char *key : {"a", "b/1", "b/2", "c"}) MUST(store.kv_set(key, "of "s + key));
    for (int record = 0; record < 5; record++)
        CHECK(MUST(store.stream_append("steps", std::to_string(record))) == static_cast<unsigned>(record));
    MUST(store.stream_append("other", "one"));
    sarsen::tags stone = MUST(sarsen::tags::of({"topic:stone"}));
    sarsen::tags done = MUST(sarsen::tags::of({"topic:stone", "state:done"}));
    MUST(store.memory_append(1, "moved", done));
    MUST(store.memory_append(2, "standing", stone));
    MUST(store.memory_append(3, "without tags"));
    return store;
}

std::vector<std::string> keys_of(sarsen::kv_scan scan) {
    std::vector<std::string> keys;
    for (const sarsen::kv_entry &entry : scan) {
        CHECK(entry.value == "of " + entry.key.str());
        keys.push_back(entry.key.str());
    }
    return keys;
}

using strings = std::vector<std::string>;

void bytes_come_from_whatever_holds_them() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    std::vector<std::uint8_t> numbers{1, 0, 2};
    std::array<std::byte, 2> pair{std::byte{3}, std::byte{0}};
    MUST(store.kv_set(numbers, pair));
    MUST(store.kv_set(std::string_view("k\0k", 3), "text"));
    MUST(store.kv_set({numbers.data(), 2}, "pointer and length"s));
    MUST(store.kv_set("", ""));
    CHECK(MUST(store.kv_get(numbers))->bytes() == pair);
    CHECK(MUST(store.kv_get("k\0k"s))->text() == "text");
    CHECK(MUST(store.kv_get(sarsen::bytes(numbers.data(), 2)))->text() == "pointer and length");
    CHECK(MUST(store.kv_get(""))->empty());
    CHECK(!MUST(store.kv_get("k")));
#if __cplusplus >= 202002L
    std::span<const std::uint8_t> key(numbers);
    CHECK(MUST(store.kv_get(key))->span().size() == 2);
    CHECK(MUST(store.kv_get(key))->bytes().span()[0] == std::byte{3});
#endif
    CHECK(sarsen::bytes("a") < sarsen::bytes("b") && sarsen::bytes("a") != sarsen::bytes("b"));
    CHECK(std::equal(numbers.begin(), numbers.end(), sarsen::bytes(numbers).begin(), sarsen::bytes(numbers).end()));
}

void kv_reads_in_place_and_copied_and_many_at_once() {
    sarsen::store store = filled_store();
    std::optional<sarsen::view> value = MUST(store.kv_get("a"));
    CHECK(value && value->text() == "of a" && value->size() == 4 && value->str() == "of a");
    CHECK(!MUST(store.kv_get("absent")));

    std::array<char, 3> room{};
    CHECK(MUST(store.kv_read("b/1", room)) == std::size_t{6});
    CHECK(std::memcmp(room.data(), "of ", 3) == 0);
    CHECK(!MUST(store.kv_read("absent", room)));

    sarsen::values found = MUST(store.kv_get_many({"c", "absent", "a"}));
    CHECK(found.size() == 3 && found[0]->text() == "of c" && !found[1] && found[2]->text() == "of a");
    std::optional<sarsen::view> taken = found.take(0);
    CHECK(taken && taken->text() == "of c" && !found[0] && !found.take(1));
    sarsen::values other = MUST(store.kv_get_many(std::vector<sarsen::bytes>{"a"}));
    found = std::move(other);
    CHECK(found.size() == 1 && found[0]->text() == "of a");

    MUST(store.kv_delete("a"));
    CHECK(!MUST(store.kv_get("a")) && value->text() == "of a");
}

void kv_scans_are_ranges() {
    sarsen::store store = filled_store();
    CHECK((keys_of(MUST(store.kv_scan())) == strings{"a", "b/1", "b/2", "c"}));
    CHECK((keys_of(MUST(store.kv_scan("b", "c"))) == strings{"b/1", "b/2"}));
    CHECK((keys_of(MUST(store.kv_prefix("b/", sarsen::order::descending))) == strings{"b/2", "b/1"}));
    CHECK((keys_of(MUST(store.kv_scan({}, "b", sarsen::order::descending))) == strings{"a"}));
    CHECK(keys_of(MUST(store.kv_prefix("z"))).empty());

    sarsen::kv_scan scan = MUST(store.kv_scan());
    CHECK(MUST(scan.next_key())->text() == "a");
    CHECK(MUST(scan.next())->key.text() == "b/1");
    sarsen::kv_scan moved = std::move(scan);
    CHECK((keys_of(std::move(moved)) == strings{"b/2", "c"}));
#if __cplusplus >= 202002L
    static_assert(std::ranges::input_range<sarsen::kv_scan>);
#if !defined(__clang__) || __clang_major__ >= 16 // Older ones do not compile any view of libstdc++.
    sarsen::kv_scan all = MUST(store.kv_scan());
    strings some;
    for (std::string key : all | std::views::transform([](const auto &entry) { return entry.key.str(); }) |
                               std::views::take(2))
        some.push_back(key);
    CHECK((some == strings{"a", "b/1"}));
#endif
#endif
}

void a_fill_takes_as_many_as_fit_and_says_what_one_needs() {
    sarsen::store store = filled_store();
    sarsen::kv_scan pairs = MUST(store.kv_scan());
    std::array<std::uint8_t, 50> room{};
    sarsen::filled small = MUST(pairs.fill({room.data(), 4}));
    CHECK(small.count == 0 && small.size == 0 && small.needed == 8 + 1 + 4);
    sarsen::filled all = MUST(pairs.fill(room));
    CHECK(all.count == 3 && all.size == 13 + 2 * 17 && all.needed == 0 && room[0] == 1 && room[8] == 'a');
    CHECK(MUST(pairs.fill(room)).count == 1);
    sarsen::filled none = MUST(pairs.fill(room));
    CHECK(none.count == 0 && none.size == 0 && none.needed == 0);

    sarsen::stream_scan records = MUST(store.stream_read("steps"));
    CHECK(MUST(records.fill(room)).count == 3);
    CHECK(MUST(MUST(store.stream_read("absent")).fill(room)).count == 0);
}

void streams_are_read_by_index_and_in_order() {
    sarsen::store store = filled_store();
    CHECK(MUST(store.stream_get("steps", 3))->text() == "3");
    CHECK(!MUST(store.stream_get("steps", 5)) && !MUST(store.stream_get("absent", 0)));
    MUST(store.stream_trim("steps", 2));
    std::optional<sarsen::stream_bounds> bounds = MUST(store.stream_bounds("steps"));
    CHECK(bounds && bounds->first == 2 && bounds->next == 5 && !MUST(store.stream_bounds("absent")));

    std::uint64_t index = 2;
    sarsen::stream_scan scan = MUST(store.stream_read("steps"));
    CHECK(scan.exists());
    for (const sarsen::stream_record &record : scan) {
        CHECK(record.index == index && record.data == std::to_string(index));
        index++;
    }
    CHECK(index == 5);
    CHECK(MUST(MUST(store.stream_read("steps", 4)).next())->index == 4);
    sarsen::stream_scan absent = MUST(store.stream_read("absent"));
    CHECK(!absent.exists() && absent.begin() == absent.end());

    strings names;
    for (const sarsen::stream_entry &stream : MUST(store.stream_list())) names.push_back(stream.name.str());
    CHECK((names == strings{"other", "steps"}));
    MUST(store.stream_drop("other"));
    CHECK(!MUST(store.stream_bounds("other")));
    sarsen::stream_names rest = MUST(store.stream_list("st"));
    std::optional<sarsen::stream_entry> entry = MUST(rest.next());
    CHECK(entry && entry->first == 2 && entry->next == 5 && !MUST(rest.next()));
}

void memories_are_found_by_their_tags() {
    sarsen::store store = filled_store();
    CHECK(MUST(store.memory_get(2))->text() == "standing" && !MUST(store.memory_get(9)));
    sarsen::query which;
    which.all = MUST(sarsen::tags::of({"topic:stone"}));
    std::string found;
    for (const sarsen::memory_entry &memory : MUST(store.memory_find(which)))
        found += std::to_string(memory.id) + memory.data.str() + ";";
    CHECK(found == "1moved;2standing;");
    which.none = MUST(sarsen::tags::of({"state:done"}));
    sarsen::memory_scan scan = MUST(store.memory_find(which));
    CHECK(MUST(scan.next_id()) == std::uint64_t{2} && !MUST(scan.next_id()));
    which.any = MUST(sarsen::tags::of({"no such tag"}));
    CHECK(!MUST(MUST(store.memory_find(which)).next()));
    sarsen::memory_scan all = MUST(store.memory_find());
    CHECK(MUST(all.next())->id == 1 && MUST(all.next())->id == 2 && MUST(all.next())->id == 3);

    std::optional<sarsen::memory_details> details = MUST(store.memory_info(1));
    CHECK(details && details->block.len == 5 && details->tags.size() == 2);
    CHECK(details->tags.contains("state:done") && !details->tags.contains("state"));
    CHECK(details->tags[1] == "topic:stone");
    CHECK(std::vector<std::string_view>(details->tags.begin(), details->tags.end()).size() == 2);
    CHECK(MUST(store.block_view(details->block))->text() == "moved" && !MUST(store.memory_info(9)));
    MUST(store.memory_delete(1));
    CHECK(!MUST(store.memory_get(1)));
}

void tags_that_are_none_are_refused() {
    sarsen::tags tags;
    CHECK(tags.empty() && tags.handle() == nullptr);
    MUST(tags.add("one"));
    MUST(tags.add("one"));
    CHECK(tags.size() == 1);
    CHECK_FAILS(invalid_argument, tags.add(""));
    CHECK_FAILS(too_large, tags.add(std::string(1025, 'x')));
    CHECK_FAILS(invalid_argument, sarsen::tags::of({"fine", ""}));
    CHECK(tags.size() == 1 && tags[0] == "one");
}

void blocks_are_read_whole_and_in_part() {
    sarsen::store store = filled_store();
    std::string large(200000, 'x');
    large[150000] = 'y';
    sarsen::block block = MUST(store.block_append(large));
    CHECK(block.len == large.size() && MUST(store.block_view(block))->text() == large);
    CHECK(MUST(store.block_view(block, 150000, 1))->text() == "y");
    std::vector<char> room(2);
    CHECK(MUST(store.block_read(block, 149999, room)) && room[0] == 'x' && room[1] == 'y');
    CHECK_FAILS(invalid_argument, store.block_view(block, 200000, 1));

    // Names it in a record and in a memory, which hold it from then on.
    sarsen::batch batch;
    MUST(store.commit(batch.stream_append("large", block).memory_append(9, block)));
    MUST(store.block_free(block));
    CHECK(MUST(store.stream_get("large", 0))->text() == large && MUST(store.memory_get(9))->size() == large.size());

    sarsen::block loose = MUST(store.block_append("loose"));
    MUST(store.block_free(loose));
    sarsen::block nowhere{4000000, 0, 0, 5};
    CHECK(!MUST(store.block_view(nowhere)) && !MUST(store.block_read(nowhere, 0, {room.data(), 1})));
}

const test all[] = {
    TEST(bytes_come_from_whatever_holds_them),
    TEST(kv_reads_in_place_and_copied_and_many_at_once),
    TEST(kv_scans_are_ranges),
    TEST(a_fill_takes_as_many_as_fit_and_says_what_one_needs),
    TEST(streams_are_read_by_index_and_in_order),
    TEST(memories_are_found_by_their_tags),
    TEST(tags_that_are_none_are_refused),
    TEST(blocks_are_read_whole_and_in_part),
};

} // namespace

tests data_tests() { return {all, sizeof all / sizeof all[0]}; }
