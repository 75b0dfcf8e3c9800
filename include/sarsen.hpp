// sarsen in C++17 and later: owners, exceptions, ranges. Header-only, over sarsen.h, whose contracts hold for the
// functions that have the same name here: sarsen_kv_set is store::kv_set.
//
//  Failures    are thrown as sarsen::error, and result<T> is T. With SARSEN_NO_EXCEPTIONS defined, or exceptions off,
//              they are returned: result<T> is sarsen::expected<T>. Expected answers are values in both: an absent key
//              is an empty std::optional, a wait that ran out is false.
//  Lifetimes   A view keeps its bytes in place by itself, also after the store is gone. What a scan or a log reader
//              hands out is good until it moves on. Using a closed store, or a snapshot of one, is invalid_argument.
//  Owners      move only; one that was moved from is as good as closed.
//  Bytes in    sarsen::bytes takes text, std::vector and std::array of bytes, std::span, or a pointer and a length.
//  Threads     A const function may be called by many threads at once, any other by one; never beside close.
//
// Both kinds of failure may be used in one program, but not in one source file.
#ifndef SARSEN_HPP
#define SARSEN_HPP

#include "sarsen.h"
#include "sarsen/base.hpp"
#include "sarsen/read.hpp"

namespace sarsen {
inline namespace SARSEN_FAILURES {

// ---- options ----------------------------------------------------------------------------------------------------

// How a store is opened; what is not set is the library's default, which sarsen.h names.
struct options {
    std::optional<bool> create{};
    std::optional<bool> read_only{};
    std::optional<survive> durability{};
    std::optional<std::uint64_t> chunk_bytes{};
    std::optional<std::uint64_t> memory_bytes{};
    std::optional<std::uint64_t> log_retention_bytes{};
    std::optional<bool> background{};
    std::optional<bool> salvage{};
    std::optional<sarsen::check> check{};
    std::optional<sarsen::log_write> log_write{};
    std::optional<std::uint64_t> mapped_bytes{};
};

namespace detail {

// Writes what is set into `to`, up to the first that is refused.
inline sarsen_status set_options(const options &from, sarsen_options *to) noexcept {
    sarsen_status status = SARSEN_OK;
    auto set = [&](const auto &value, auto setter) {
        if (value && status == SARSEN_OK) status = setter(to, *value);
    };
    auto set_number = [&](const auto &value, auto setter) {
        if (value && status == SARSEN_OK) status = setter(to, static_cast<std::uint32_t>(*value));
    };
    set(from.create, sarsen_options_set_create);
    set(from.read_only, sarsen_options_set_read_only);
    set_number(from.durability, sarsen_options_set_durability);
    set(from.chunk_bytes, sarsen_options_set_chunk_bytes);
    set(from.memory_bytes, sarsen_options_set_memory_bytes);
    set(from.log_retention_bytes, sarsen_options_set_log_retention_bytes);
    set(from.background, sarsen_options_set_background);
    set(from.salvage, sarsen_options_set_salvage);
    set_number(from.check, sarsen_options_set_check);
    set_number(from.log_write, sarsen_options_set_log_write);
    set(from.mapped_bytes, sarsen_options_set_mapped_bytes);
    return status;
}

} // namespace detail

// ---- durability -------------------------------------------------------------------------------------------------

// Called once with what became of a commit: status::ok once it survives power loss. On the thread whose call made it
// durable, which may be the library's own; it must not throw, and not close the store.
using durable_function = std::function<void(std::uint64_t seq, status what)>;

namespace detail {

inline void run_durable(void *user, std::uint64_t seq, sarsen_status what) noexcept {
    std::unique_ptr<durable_function> function(static_cast<durable_function *>(user));
    (*function)(seq, static_cast<status>(what));
}

inline result<void> notify_durable(const sarsen_store *store, std::uint64_t seq, durable_function function) {
    auto owned = std::make_unique<durable_function>(std::move(function));
    call call;
    call = sarsen_store_notify_durable(store, seq, run_durable, owned.get(), call.error());
    // The callback owns it from here on, and may have run already.
    if (call.ok()) static_cast<void>(owned.release());
    return call.done();
}

inline result<bool> wait_durable(const sarsen_store *store, std::uint64_t seq, std::chrono::microseconds timeout) {
    call call;
    call = sarsen_store_wait_durable(store, seq, microseconds(timeout), call.error());
    return call.rather_than(SARSEN_TIMEOUT);
}

} // namespace detail

inline constexpr std::chrono::microseconds forever = std::chrono::microseconds::max();

// A commit: its number, and a way to learn when it survives power loss.
class ticket {
  public:
    ticket(std::shared_ptr<detail::core> store, std::uint64_t seq) noexcept : core_(std::move(store)), seq_(seq) {}
    std::uint64_t seq() const noexcept { return seq_; }
    bool durable() const noexcept { return sarsen_store_durable_seq(opened()) >= seq_; }
    // False: the wait ran out.
    result<bool> wait(std::chrono::microseconds timeout = forever) const {
        return detail::wait_durable(opened(), seq_, timeout);
    }
    result<void> then(durable_function function) const {
        return detail::notify_durable(opened(), seq_, std::move(function));
    }

  private:
    const sarsen_store *opened() const noexcept {
        return core_ ? core_->store.load(std::memory_order_acquire) : nullptr;
    }
    std::shared_ptr<detail::core> core_;
    std::uint64_t seq_;
};

// ---- batches ----------------------------------------------------------------------------------------------------

// What a command of a committed batch was given: the index of a stream record, and the address of its block.
struct outcome {
    std::optional<std::uint64_t> index;
    sarsen::block block;
};

// The commands of one atomic commit, in order. With returned failures, the first one is kept: what is added after it
// is dropped, and store::commit answers with it.
class batch {
  public:
    batch() = default;
    batch &kv_set(bytes key, bytes value) {
        return add(sarsen_batch_set_kv, key.data(), key.size(), value.data(), value.size());
    }
    batch &kv_delete(bytes key) { return add(sarsen_batch_delete_kv, key.data(), key.size()); }
    batch &stream_append(bytes name, bytes record) {
        return add(sarsen_batch_append_stream, name.data(), name.size(), record.data(), record.size());
    }
    // A record with the bytes of a loose block, which is named, not copied.
    batch &stream_append(bytes name, const block &record) {
        return add(sarsen_batch_append_stream_block, name.data(), name.size(), &record);
    }
    // Drops the records below index `before`.
    batch &stream_trim(bytes name, std::uint64_t before) {
        return add(sarsen_batch_trim_stream, name.data(), name.size(), before);
    }
    batch &stream_drop(bytes name) { return stream_trim(name, UINT64_MAX); }
    batch &memory_append(std::uint64_t id, bytes data, const tags &carried = {}) {
        return add(sarsen_batch_append_memory, id, carried.handle(), data.data(), data.size());
    }
    batch &memory_append(std::uint64_t id, const block &data, const tags &carried = {}) {
        return add(sarsen_batch_append_memory_block, id, carried.handle(), &data);
    }
    batch &memory_delete(std::uint64_t id) { return add(sarsen_batch_delete_memory, id); }
    batch &block_append(bytes data) { return add(sarsen_batch_append_block, data.data(), data.size()); }
    batch &block_free(const block &which) { return add(sarsen_batch_free_block, &which); }
    // Commands in the layout of docs/FORMAT.md, 'Batches'.
    batch &load(bytes encoded) { return add(sarsen_batch_load, encoded.data(), encoded.size()); }

    std::size_t count() const noexcept { return sarsen_batch_count(handle_.get()); }
    bool empty() const noexcept { return count() == 0; }
    // Takes everything out, a kept failure as well; memory is kept for the next commands.
    void clear() noexcept {
        sarsen_batch_clear(handle_.get());
#ifdef SARSEN_NO_EXCEPTIONS
        failure_.reset();
#endif
    }
    // Of command number `command`, from 0, of the last commit, until the batch is changed.
    result<sarsen::outcome> outcome(std::size_t command) const {
        std::uint64_t index = 0;
        sarsen::outcome given{};
        detail::call call;
        call = sarsen_batch_result(handle_.get(), command, &index, &given.block, call.error());
        if (index != UINT64_MAX) given.index = index;
        return call.value(given);
    }
#ifdef SARSEN_NO_EXCEPTIONS
    // Why a command could not be added; NULL: all could.
    const sarsen::error *failure() const noexcept { return failure_ ? &*failure_ : nullptr; }
#endif
    // NULL before the first command.
    const sarsen_batch *handle() const noexcept { return handle_.get(); }

  private:
    friend class store;
    sarsen_batch *made() {
        if (!handle_) handle_.reset(sarsen_batch_new());
        return handle_.get();
    }
    template <class Function, class... Given> batch &add(Function function, Given... given) {
#ifdef SARSEN_NO_EXCEPTIONS
        if (failure_) return *this;
#endif
        detail::call call;
        call = function(made(), given..., call.error());
#ifdef SARSEN_NO_EXCEPTIONS
        if (!call.ok()) failure_ = call.failure();
#else
        call.done();
#endif
        return *this;
    }
    detail::owner<sarsen_batch, sarsen_batch_free> handle_;
#ifdef SARSEN_NO_EXCEPTIONS
    std::optional<sarsen::error> failure_;
#endif
};

// ---- the log ----------------------------------------------------------------------------------------------------

// One command of the log. Its bytes and tags are good until the reader moves on.
struct log_command {
    // Keep both: above durable_seq a seq may be used again after power loss, under a higher epoch.
    std::uint64_t seq, epoch;
    command_kind kind;
    // The last command of its commit.
    bool last;
    // Memory id, stream index, or the first index that a trim keeps.
    std::uint64_t id;
    sarsen::block block;
    // Key or stream name; value or block bytes.
    bytes key, value;
    tags_view tags;
};

// A place in the log. As a range it gives the commands there are now; walking it again goes on from there.
class log_reader : public detail::range<log_reader, log_command> {
  public:
    explicit log_reader(sarsen_log_reader *owned) noexcept : handle_(owned) {}
    // Empty: no commit came within the time. not_found: the log was released past the reader.
    result<std::optional<log_command>> next(std::chrono::microseconds timeout = std::chrono::microseconds(0)) {
        sarsen_command raw{};
        const sarsen_tags *carried = nullptr;
        detail::call call;
        call = sarsen_log_next(handle_.get(), detail::microseconds(timeout), &raw, sizeof raw, &carried, call.error());
        return call.unless(SARSEN_TIMEOUT, log_command{raw.seq, raw.epoch, static_cast<command_kind>(raw.kind),
                                                       raw.last != 0, raw.id, raw.block, raw.key, raw.value,
                                                       tags_view(carried)});
    }

  private:
    detail::owner<sarsen_log_reader, sarsen_log_reader_free> handle_;
};

// ---- what opening and verifying found -----------------------------------------------------------------------------

struct recovery {
    sarsen::verdict verdict;
    // Newest commit in the recovered state, and newest one known to have been durable before the stop.
    std::uint64_t last_seq, proven_seq;
    std::uint64_t replayed_commits, replayed_bytes;
    // Bytes of the log's cut-off tail.
    std::uint64_t dropped_bytes;
    std::chrono::microseconds elapsed;
};

// A place within the store, and what is wrong with it. Good until the report moves on.
struct finding {
    std::string_view file;
    std::uint64_t offset;
    std::string_view what;
};

// Findings of store::verify: none where all is well.
class report : public detail::range<report, finding> {
  public:
    explicit report(sarsen_report *owned) noexcept : handle_(owned) {}
    result<std::optional<finding>> next() {
        const char *file = nullptr, *what = nullptr;
        std::uint64_t offset = 0;
        detail::call call(sarsen_report_next(handle_.get(), &file, &offset, &what));
        return call.unless(SARSEN_END, finding{file ? file : "", offset, what ? what : ""});
    }

  private:
    detail::owner<sarsen_report, sarsen_report_free> handle_;
};

// ---- store ------------------------------------------------------------------------------------------------------

// An open store, closed when this goes. Reads are those of sarsen::reader. Any number of threads.
class store : public reader {
  public:
    // A store that is not open: its calls answer invalid_argument.
    store() = default;
    // Opens, or creates, the store in the directory `path` (UTF-8).
    static result<store> open(const std::string &path, const options &how = {}) {
        detail::owner<sarsen_options, sarsen_options_free> settings(sarsen_options_new());
        detail::call call(detail::set_options(how, settings.get()));
        if (!call.ok()) return call.fail<store>();
        // Made first: an open store that can't be owned would stay open.
        auto place = std::make_shared<detail::core>(nullptr);
        sarsen_store *handle = nullptr;
        call = sarsen_store_open(path.c_str(), settings.get(), &handle, call.error());
        place->store.store(handle, std::memory_order_release);
        return call.value(store(std::move(place)));
    }
    // Takes over what sarsen_store_open gave.
    explicit store(sarsen_store *owned) : reader(std::make_shared<detail::core>(owned)) {}
    store(store &&) = default;
    store &operator=(store &&other) {
        if (this != &other) {
            if (core_) core_->close(nullptr);
            reader::operator=(std::move(other));
        }
        return *this;
    }
    ~store() {
        if (core_) core_->close(nullptr);
    }
    // Says what a destructor can't. After success every commit survives power loss.
    result<void> close() {
        detail::call call;
        if (core_) call = core_->close(call.error());
        return call.done();
    }
    bool is_open() const noexcept { return opened() != nullptr; }
    const sarsen_store *handle() const noexcept { return opened(); }

    // -- commits and their durability

    // All of the batch or nothing, at the level it is to survive. The batch is empty afterwards, untouched on failure.
    result<ticket> commit(batch &commands, survive level = survive::by_default) const {
#ifdef SARSEN_NO_EXCEPTIONS
        if (commands.failure_) return *commands.failure_;
#endif
        std::uint64_t seq = 0;
        detail::call call;
        call = sarsen_batch_commit(commands.made(), opened(), static_cast<std::uint32_t>(level), &seq, call.error());
        return call.value(ticket(core_, seq));
    }
    // The newest commit, and the newest one that survives power loss.
    std::uint64_t last_seq() const noexcept { return sarsen_store_last_seq(opened()); }
    std::uint64_t durable_seq() const noexcept { return sarsen_store_durable_seq(opened()); }
    result<void> sync() const { return tell(sarsen_store_sync); }
    // False: the wait ran out.
    result<bool> wait_durable(std::uint64_t seq, std::chrono::microseconds timeout = forever) const {
        return detail::wait_durable(opened(), seq, timeout);
    }
    result<void> notify_durable(std::uint64_t seq, durable_function function) const {
        return detail::notify_durable(opened(), seq, std::move(function));
    }

    // -- single writes: a commit each, at the store's own level

    result<void> kv_set(bytes key, bytes value) const {
        return tell(sarsen_kv_set, key.data(), key.size(), value.data(), value.size());
    }
    result<void> kv_delete(bytes key) const { return tell(sarsen_kv_delete, key.data(), key.size()); }
    // The record's index.
    result<std::uint64_t> stream_append(bytes name, bytes record) const {
        std::uint64_t index = 0;
        detail::call call;
        call = sarsen_stream_append(opened(), name.data(), name.size(), record.data(), record.size(), &index,
                                    call.error());
        return call.value(index);
    }
    result<void> stream_trim(bytes name, std::uint64_t before) const {
        return tell(sarsen_stream_trim, name.data(), name.size(), before);
    }
    result<void> stream_drop(bytes name) const { return stream_trim(name, UINT64_MAX); }
    result<void> memory_append(std::uint64_t id, bytes data, const tags &carried = {}) const {
        return tell(sarsen_memory_append, id, carried.handle(), data.data(), data.size());
    }
    result<void> memory_delete(std::uint64_t id) const { return tell(sarsen_memory_delete, id); }
    result<sarsen::block> block_append(bytes data) const {
        sarsen::block address{};
        detail::call call;
        call = sarsen_block_append(opened(), data.data(), data.size(), &address, call.error());
        return call.value(address);
    }
    result<void> block_free(const block &which) const { return tell(sarsen_block_free, &which); }

    // -- snapshots and the log

    result<sarsen::snapshot> snapshot() const {
        sarsen_snapshot *taken = nullptr;
        detail::call call;
        call = sarsen_snapshot_new(opened(), &taken, call.error());
        return call.value(sarsen::snapshot(core_, taken));
    }
    // Oldest commit that is still in the log.
    std::uint64_t log_first_seq() const noexcept { return sarsen_log_first_seq(opened()); }
    // Commits from `seq` on. With an epoch, that of seq - 1: conflict where the log holds another commit there.
    result<log_reader> log_read(std::uint64_t seq, std::uint64_t epoch = 0) const {
        sarsen_log_reader *place = nullptr;
        detail::call call;
        call = sarsen_log_read(opened(), seq, epoch, &place, call.error());
        return call.value(log_reader(place));
    }

    // -- upkeep

    result<void> checkpoint() const { return tell(sarsen_store_checkpoint); }
    result<void> compact() const { return tell(sarsen_store_compact); }
    // True: work is left.
    result<bool> maintain(std::chrono::microseconds budget) const {
        bool more = false;
        detail::call call;
        call = sarsen_store_maintain(opened(), detail::microseconds(budget), &more, call.error());
        return call.value(more);
    }
    // Lets a read-only store see what was committed since: the newest commit it sees now.
    result<std::uint64_t> refresh() const {
        std::uint64_t seq = 0;
        detail::call call;
        call = sarsen_store_refresh(opened(), &seq, call.error());
        return call.value(seq);
    }
    // Takes over a directory in the ancestral layout: how many commands it had.
    result<std::uint64_t> import(const std::string &path) const {
        std::uint64_t commands = 0;
        detail::call call;
        call = sarsen_store_import(opened(), path.c_str(), &commands, call.error());
        return call.value(commands);
    }

    // -- what it can say about itself

    result<sarsen::recovery> recovery() const {
        sarsen_recovery raw{};
        detail::call call(sarsen_store_recovery(opened(), &raw, sizeof raw));
        return call.value(sarsen::recovery{static_cast<verdict>(raw.verdict), raw.last_seq, raw.proven_seq,
                                           raw.replayed_commits, raw.replayed_bytes, raw.dropped_bytes,
                                           std::chrono::microseconds(raw.elapsed_us)});
    }
    result<sarsen::stats> stats() const {
        sarsen::stats figures{};
        detail::call call(sarsen_store_stats(opened(), &figures, sizeof figures));
        return call.value(figures);
    }
    // Reads and checks every byte.
    result<report> verify() const {
        sarsen_report *found = nullptr;
        detail::call call;
        call = sarsen_store_verify(opened(), &found, call.error());
        return call.value(report(found));
    }

  private:
    explicit store(std::shared_ptr<detail::core> opened) noexcept : reader(std::move(opened)) {}
    template <class Function, class... Given> result<void> tell(Function function, Given... given) const {
        detail::call call;
        call = function(opened(), given..., call.error());
        return call.done();
    }
};

} // namespace SARSEN_FAILURES
} // namespace sarsen

#endif
