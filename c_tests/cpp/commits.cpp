// Batches, tickets, waits and callbacks, options and the log through sarsen.hpp.
#include "check.hpp"

#include <condition_variable>
#include <mutex>
#include <vector>

using namespace std::chrono_literals;

namespace {

void a_batch_is_one_commit_and_tells_what_its_commands_were_given() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    sarsen::tags tags = MUST(sarsen::tags::of({"t"}));
    sarsen::batch batch;
    CHECK(batch.empty() && batch.handle() == nullptr);
    batch.kv_set("k", "v").stream_append("s", "r0").stream_append("s", "r1");
    batch.memory_append(1, "m", tags).block_append("b");
    CHECK(batch.count() == 5 && batch.handle() != nullptr);
    sarsen::ticket ticket = MUST(store.commit(batch, sarsen::survive::power));
    CHECK(ticket.seq() == 1 && store.last_seq() == 1 && ticket.durable() && batch.empty());
    CHECK(MUST(batch.outcome(2)).index == std::uint64_t{1} && !MUST(batch.outcome(0)).index);
    sarsen::block block = MUST(batch.outcome(4)).block;
    CHECK(MUST(store.block_view(block))->text() == "b");
    CHECK_FAILS(invalid_argument, batch.outcome(5));

    batch.kv_delete("k").stream_trim("s", 1).memory_delete(1).block_free(block);
    CHECK(batch.count() == 4 && MUST(store.commit(batch)).seq() == 2);
    CHECK(!MUST(store.kv_get("k")) && MUST(store.stream_bounds("s"))->first == 1 && !MUST(store.memory_get(1)));
    batch.stream_drop("s");
    MUST(store.commit(batch));
    CHECK(!MUST(store.stream_bounds("s")));
    // An empty one takes no seq.
    sarsen::batch empty;
    CHECK(MUST(store.commit(empty)).seq() == 3);
}

void a_batch_is_loaded_and_cleared() {
    // A set of "k" to "v", as docs/FORMAT.md lays it out.
    std::string encoded("\x05\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0kv", 26);
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    sarsen::batch batch;
    batch.load(encoded);
    CHECK(batch.count() == 1);
    batch.clear();
    CHECK(batch.empty());
    MUST(store.commit(batch.load(encoded)));
    CHECK(MUST(store.kv_get("k"))->text() == "v");
}

void a_command_that_is_refused_does_not_get_lost() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    sarsen::batch batch;
#ifdef SARSEN_NO_EXCEPTIONS
    batch.kv_set("k", "v").kv_set(std::string(70000, 'k'), "v").kv_set("l", "v");
    CHECK(batch.count() == 1 && batch.failure() && batch.failure()->status() == sarsen::status::too_large);
    CHECK_FAILS(too_large, store.commit(batch));
    CHECK(store.last_seq() == 0);
    batch.clear();
    CHECK(!batch.failure());
#else
    batch.kv_set("k", "v");
    CHECK_FAILS(too_large, batch.kv_set(std::string(70000, 'k'), "v").count());
    CHECK(batch.count() == 1);
    batch.clear();
#endif
    MUST(store.commit(batch.kv_set("k", "v")));
    // Naming a block that is not there fails the commit and leaves the batch.
    batch.stream_append("s", sarsen::block{4000000, 0, 0, 5});
    CHECK_FAILS(not_found, store.commit(batch));
    CHECK(batch.count() == 1 && store.last_seq() == 1);
}

void a_ticket_waits_for_power() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    sarsen::batch batch;
    sarsen::ticket ticket = MUST(store.commit(batch.kv_set("k", "v"), sarsen::survive::process));
    CHECK(MUST(ticket.wait()) && ticket.durable() && store.durable_seq() == 1);
    CHECK(MUST(store.wait_durable(1, 1s)));
    CHECK_FAILS(invalid_argument, store.wait_durable(2, 1ms));
    ticket = MUST(store.commit(batch.kv_set("k", "w"), sarsen::survive::process));
    MUST(store.sync());
    CHECK(ticket.durable() && store.durable_seq() == 2);
}

void a_callback_runs_once_with_what_became_of_its_commit() {
    sarsen::store store = MUST(sarsen::store::open(place("store")));
    std::mutex lock;
    std::condition_variable called;
    std::vector<std::uint64_t> seqs;
    auto note = [&](std::uint64_t seq, sarsen::status what) {
        CHECK(what == sarsen::status::ok);
        std::lock_guard<std::mutex> held(lock);
        seqs.push_back(seq);
        called.notify_all();
    };
    sarsen::batch batch;
    sarsen::ticket ticket = MUST(store.commit(batch.kv_set("k", "v"), sarsen::survive::process));
    MUST(ticket.then(note));
    {
        std::unique_lock<std::mutex> held(lock);
        called.wait(held, [&] { return !seqs.empty(); });
    }
    // At once, where it is durable already.
    MUST(store.notify_durable(1, note));
    CHECK((seqs == std::vector<std::uint64_t>{1, 1}));
    // Not called, and given back, where the call fails.
    auto held = std::make_shared<int>(1);
    CHECK_FAILS(invalid_argument, store.notify_durable(7, [held](std::uint64_t, sarsen::status) {}));
    CHECK(held.use_count() == 1);
}

void a_callback_of_close_is_refused_and_not_harmed() {
    sarsen::options how;
    how.background = false;
    sarsen::store store = MUST(sarsen::store::open(place("store"), how));
    sarsen::batch batch;
    sarsen::ticket ticket = MUST(store.commit(batch.kv_set("k", "v"), sarsen::survive::process));
    std::uint64_t seen = 0;
    MUST(ticket.then([&](std::uint64_t seq, sarsen::status what) {
        CHECK(what == sarsen::status::ok);
        CHECK_FAILS(invalid_argument, store.kv_get("k"));
        seen = seq;
    }));
    CHECK(seen == 0);
    MUST(store.close());
    CHECK(seen == 1);
}

void options_are_passed_on_and_checked() {
    sarsen::options how;
    how.create = false;
    CHECK_FAILS(not_a_store, sarsen::store::open(place("store"), how));
    how.create = true;
    how.chunk_bytes = 1;
    CHECK_FAILS(invalid_argument, sarsen::store::open(place("store"), how));
    how.chunk_bytes = 1 << 20;
    how.memory_bytes = 8 << 20;
    how.log_retention_bytes = 1 << 20;
    how.mapped_bytes = 1 << 30;
    how.background = false;
    how.salvage = false;
    how.read_only = false;
    how.durability = sarsen::survive::process;
    how.check = sarsen::check::every_read;
    how.log_write = sarsen::log_write::written;
    sarsen::store store = MUST(sarsen::store::open(place("store"), how));
    MUST(store.kv_set("k", "v"));
    // The level was passed on: nothing has synced the log since.
    CHECK(store.last_seq() == 1 && store.durable_seq() == 0);
    how.durability = static_cast<sarsen::survive>(99);
    CHECK_FAILS(invalid_argument, sarsen::store::open(place("other"), how));
#if __cplusplus >= 202002L
    sarsen::store other = MUST(sarsen::store::open(place("other"), {.durability = sarsen::survive::process}));
    CHECK(other.is_open());
#endif
}

void the_log_is_followed_command_by_command() {
    sarsen::options how;
    how.log_retention_bytes = 1 << 20;
    sarsen::store store = MUST(sarsen::store::open(place("store"), how));
    sarsen::tags tags = MUST(sarsen::tags::of({"one", "two"}));
    sarsen::batch batch;
    MUST(store.commit(batch.kv_set("k", "v").memory_append(7, "m", tags)));
    MUST(store.stream_append("s", "r"));
    CHECK(store.log_first_seq() == 1);

    sarsen::log_reader log = MUST(store.log_read(1));
    std::string seen;
    for (const sarsen::log_command &command : log) {
        seen += std::to_string(command.seq) + (command.last ? "." : ",");
        if (command.kind == sarsen::command_kind::set_kv) CHECK(command.key == "k" && command.value == "v");
        if (command.kind == sarsen::command_kind::append_memory)
            CHECK(command.id == 7 && command.value == "m" && command.tags.size() == 2 && command.tags[1] == "two");
        if (command.kind == sarsen::command_kind::append_stream) CHECK(command.key == "s" && command.id == 0);
    }
    CHECK(seen == "1,1.2.");
    CHECK(!MUST(log.next()) && !MUST(log.next(1ms)));
    MUST(store.kv_delete("k"));
    std::optional<sarsen::log_command> next = MUST(log.next(10s));
    CHECK(next && next->seq == 3 && next->kind == sarsen::command_kind::delete_kv && next->tags.empty());
    CHECK_FAILS(invalid_argument, store.log_read(9));
    CHECK_FAILS(conflict, store.log_read(2, next->epoch + 1));
}

const test all[] = {
    TEST(a_batch_is_one_commit_and_tells_what_its_commands_were_given),
    TEST(a_batch_is_loaded_and_cleared),
    TEST(a_command_that_is_refused_does_not_get_lost),
    TEST(a_ticket_waits_for_power),
    TEST(a_callback_runs_once_with_what_became_of_its_commit),
    TEST(a_callback_of_close_is_refused_and_not_harmed),
    TEST(options_are_passed_on_and_checked),
    TEST(the_log_is_followed_command_by_command),
};

} // namespace

tests commit_tests() { return {all, sizeof all / sizeof all[0]}; }
