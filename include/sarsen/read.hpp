// What is read from a store: views, tags, scans, and the reads that a store and a snapshot share. Include sarsen.hpp.
#ifndef SARSEN_READ_HPP
#define SARSEN_READ_HPP

#include "base.hpp"

namespace sarsen {
inline namespace SARSEN_FAILURES {

// ---- views ----------------------------------------------------------------------------------------------------

// Bytes inside the store, kept in place while this lives, also after the store is closed.
class view {
  public:
    view() = default;
    // Takes over what a C function handed out.
    explicit view(sarsen_view owned) noexcept : raw_(owned) {}
    view(view &&other) noexcept : raw_(std::exchange(other.raw_, sarsen_view{})) {}
    view &operator=(view &&other) noexcept {
        if (this != &other) {
            release();
            raw_ = std::exchange(other.raw_, sarsen_view{});
        }
        return *this;
    }
    ~view() { release(); }

    void release() noexcept { sarsen_view_release(&raw_); }
    const std::uint8_t *data() const noexcept SARSEN_INSIDE_THIS { return raw_.data; }
    std::size_t size() const noexcept { return raw_.len; }
    bool empty() const noexcept { return raw_.len == 0; }
    const std::uint8_t *begin() const noexcept SARSEN_INSIDE_THIS { return raw_.data; }
    const std::uint8_t *end() const noexcept SARSEN_INSIDE_THIS { return raw_.data + raw_.len; }
    sarsen::bytes bytes() const noexcept SARSEN_INSIDE_THIS { return {raw_.data, raw_.len}; }
    std::string_view text() const noexcept SARSEN_INSIDE_THIS { return bytes().text(); }
    // A copy that outlives the view.
    std::string str() const { return bytes().str(); }
#if __cplusplus >= 202002L
    std::span<const std::byte> span() const noexcept SARSEN_INSIDE_THIS { return bytes().span(); }
#endif
    // Where a C function puts its view.
    sarsen_view *out() noexcept {
        release();
        return &raw_;
    }

  private:
    sarsen_view raw_{};
};

// The answers of kv_get_many, in the order of its keys.
class values {
  public:
    explicit values(std::size_t count) : views_(count), statuses_(count, SARSEN_NOT_FOUND) {}
    values(values &&) = default;
    values &operator=(values &&other) noexcept {
        values taken(std::move(other));
        std::swap(views_, taken.views_);
        std::swap(statuses_, taken.statuses_);
        return *this;
    }
    ~values() {
        for (sarsen_view &view : views_) sarsen_view_release(&view);
    }
    std::size_t size() const noexcept { return views_.size(); }
    // The value of key number `at`, good while this lives; empty: no such key.
    std::optional<bytes> operator[](std::size_t at) const SARSEN_INSIDE_THIS {
        if (statuses_[at] != SARSEN_OK) return std::nullopt;
        return bytes(views_[at].data, views_[at].len);
    }
    // Takes one value out, to outlive the rest.
    std::optional<view> take(std::size_t at) {
        if (std::exchange(statuses_[at], SARSEN_NOT_FOUND) != SARSEN_OK) return std::nullopt;
        return view(std::exchange(views_[at], sarsen_view{}));
    }
    sarsen_view *out_views() noexcept { return views_.data(); }
    sarsen_status *out_statuses() noexcept { return statuses_.data(); }

  private:
    std::vector<sarsen_view> views_;
    std::vector<sarsen_status> statuses_;
};

// ---- tags -------------------------------------------------------------------------------------------------------

// A set of tags that something else owns, in byte order.
class tags_view {
  public:
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;
        using pointer = const std::string_view *;
        using reference = std::string_view;
        iterator() = default;
        iterator(const sarsen_tags *of, std::size_t at) noexcept : of_(of), at_(at) {}
        std::string_view operator*() const noexcept { return tags_view(of_)[at_]; }
        iterator &operator++() noexcept {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept { return {of_, at_++}; }
        friend bool operator==(iterator one, iterator other) noexcept { return one.at_ == other.at_; }
        friend bool operator!=(iterator one, iterator other) noexcept { return one.at_ != other.at_; }

      private:
        const sarsen_tags *of_ = nullptr;
        std::size_t at_ = 0;
    };

    explicit tags_view(const sarsen_tags *of = nullptr) noexcept : of_(of) {}
    std::size_t size() const noexcept { return sarsen_tags_count(of_); }
    bool empty() const noexcept { return size() == 0; }
    std::string_view operator[](std::size_t at) const noexcept { return bytes(sarsen_tags_get(of_, at)).text(); }
    iterator begin() const noexcept { return {of_, 0}; }
    iterator end() const noexcept { return {of_, size()}; }
    bool contains(std::string_view tag) const noexcept {
        for (std::string_view there : *this)
            if (there == tag) return true;
        return false;
    }

  private:
    const sarsen_tags *of_;
};

// A set of tags: UTF-8 strings of 1 to 1,024 bytes, up to 1,024 of them.
class tags {
  public:
    tags() = default;
    explicit tags(sarsen_tags *owned) noexcept : handle_(owned) {}
#ifndef SARSEN_NO_EXCEPTIONS
    tags(std::initializer_list<std::string_view> from) {
        for (std::string_view tag : from) add(tag);
    }
#endif
    static result<tags> of(std::initializer_list<std::string_view> from) {
        tags made;
        for (std::string_view tag : from) {
            detail::call call(made.put(tag));
            if (!call.ok()) return call.fail<tags>();
        }
        return result<tags>(std::move(made));
    }
    result<void> add(std::string_view tag) { return detail::call(put(tag)).done(); }

    operator tags_view() const noexcept SARSEN_INSIDE_THIS { return tags_view(handle_.get()); }
    std::size_t size() const noexcept { return tags_view(*this).size(); }
    bool empty() const noexcept { return size() == 0; }
    std::string_view operator[](std::size_t at) const noexcept SARSEN_INSIDE_THIS { return tags_view(*this)[at]; }
    tags_view::iterator begin() const noexcept SARSEN_INSIDE_THIS { return tags_view(*this).begin(); }
    tags_view::iterator end() const noexcept SARSEN_INSIDE_THIS { return tags_view(*this).end(); }
    bool contains(std::string_view tag) const noexcept { return tags_view(*this).contains(tag); }
    // NULL while it is empty.
    const sarsen_tags *handle() const noexcept { return handle_.get(); }

  private:
    sarsen_status put(std::string_view tag) noexcept {
        if (!handle_) handle_.reset(sarsen_tags_new());
        return sarsen_tags_add(handle_.get(), tag.data(), tag.size());
    }
    detail::owner<sarsen_tags, sarsen_tags_free> handle_;
};

// Which memories: they carry all tags of `all`, at least one of `any` unless it is empty, and none of `none`.
struct query {
    tags all, any, none;
    std::uint64_t from_id = 0;
};

// ---- scans --------------------------------------------------------------------------------------------------------

// What a call that fills a buffer put there; both zero at the end, or where the next one needs `needed` bytes alone.
struct filled {
    std::size_t size = 0;
    std::size_t count = 0;
    std::size_t needed = 0;
};

namespace detail {
template <class Fill> result<filled> fill_from(Fill fill) {
    filled done;
    call call;
    call = fill(&done.size, &done.count, call.error());
    if (call.status() == SARSEN_TOO_LARGE) return result<filled>(filled{0, 0, done.size});
    if (call.status() == SARSEN_END) return result<filled>(filled{});
    return call.value(done);
}
} // namespace detail

struct kv_entry {
    bytes key, value;
};

// Keys with their values, in byte order or backwards.
class kv_scan : public detail::range<kv_scan, kv_entry> {
  public:
    explicit kv_scan(sarsen_kv_iter *owned) noexcept : handle_(owned) {}
    result<std::optional<kv_entry>> next() {
        sarsen_bytes key{}, value{};
        detail::call call;
        call = sarsen_kv_iter_next(handle_.get(), &key, &value, call.error());
        return call.unless(SARSEN_END, kv_entry{key, value});
    }
    // Without touching the value.
    result<std::optional<bytes>> next_key() {
        sarsen_bytes key{};
        detail::call call;
        call = sarsen_kv_iter_next(handle_.get(), &key, nullptr, call.error());
        return call.unless(SARSEN_END, bytes(key));
    }
    result<filled> fill(buffer room) {
        return detail::fill_from([&](std::size_t *size, std::size_t *count, sarsen_error **error) {
            return sarsen_kv_iter_fill(handle_.get(), room.data(), room.size(), size, count, error);
        });
    }

  private:
    detail::owner<sarsen_kv_iter, sarsen_kv_iter_free> handle_;
};

struct stream_record {
    std::uint64_t index;
    bytes data;
};

// The records of one stream. It is empty, too, where there is no such stream, which exists() tells.
class stream_scan : public detail::range<stream_scan, stream_record> {
  public:
    explicit stream_scan(sarsen_stream_iter *owned) noexcept : handle_(owned) {}
    bool exists() const noexcept { return handle_ != nullptr; }
    result<std::optional<stream_record>> next() {
        if (!exists()) return result<std::optional<stream_record>>(std::nullopt);
        std::uint64_t index = 0;
        sarsen_bytes data{};
        detail::call call;
        call = sarsen_stream_iter_next(handle_.get(), &index, &data, call.error());
        return call.unless(SARSEN_END, stream_record{index, data});
    }
    result<filled> fill(buffer room) {
        if (!exists()) return result<filled>(filled{});
        return detail::fill_from([&](std::size_t *size, std::size_t *count, sarsen_error **error) {
            return sarsen_stream_iter_fill(handle_.get(), room.data(), room.size(), size, count, error);
        });
    }

  private:
    detail::owner<sarsen_stream_iter, sarsen_stream_iter_free> handle_;
};

// A stream's records are first to next - 1.
struct stream_bounds {
    std::uint64_t first, next;
};

struct stream_entry {
    bytes name;
    std::uint64_t first, next;
};

// The streams there are, in byte order of their names.
class stream_names : public detail::range<stream_names, stream_entry> {
  public:
    explicit stream_names(sarsen_stream_names *owned) noexcept : handle_(owned) {}
    result<std::optional<stream_entry>> next() {
        sarsen_bytes name{};
        std::uint64_t first = 0, next = 0;
        detail::call call;
        call = sarsen_stream_names_next(handle_.get(), &name, &first, &next, call.error());
        return call.unless(SARSEN_END, stream_entry{name, first, next});
    }

  private:
    detail::owner<sarsen_stream_names, sarsen_stream_names_free> handle_;
};

struct memory_entry {
    std::uint64_t id;
    bytes data;
};

// Memories that were found, by ascending id.
class memory_scan : public detail::range<memory_scan, memory_entry> {
  public:
    explicit memory_scan(sarsen_memory_iter *owned) noexcept : handle_(owned) {}
    result<std::optional<memory_entry>> next() {
        std::uint64_t id = 0;
        sarsen_bytes data{};
        detail::call call;
        call = sarsen_memory_iter_next(handle_.get(), &id, &data, call.error());
        return call.unless(SARSEN_END, memory_entry{id, data});
    }
    // Without touching the bytes.
    result<std::optional<std::uint64_t>> next_id() {
        std::uint64_t id = 0;
        detail::call call;
        call = sarsen_memory_iter_next(handle_.get(), &id, nullptr, call.error());
        return call.unless(SARSEN_END, id);
    }

  private:
    detail::owner<sarsen_memory_iter, sarsen_memory_iter_free> handle_;
};

// Where the bytes of a memory lie, and its tags.
struct memory_details {
    sarsen::block block;
    sarsen::tags tags;
};

enum class order : bool { ascending = false, descending = true };

// ---- what a store and a snapshot answer ----------------------------------------------------------------

// Reads of one state: the newest one for a store, the frozen one for a snapshot.
class reader {
  public:
    // In place: nothing is copied. Empty: no such key.
    result<std::optional<view>> kv_get(bytes key) const {
        view found;
        detail::call call;
        call = sarsen_kv_get(opened(), frozen(), key.data(), key.size(), found.out(), call.error());
        return call.unless(SARSEN_NOT_FOUND, std::move(found));
    }
    // Copies as much of the value as there is room for, and tells its whole length.
    result<std::optional<std::size_t>> kv_read(bytes key, buffer room) const {
        std::size_t size = 0;
        detail::call call;
        call = sarsen_kv_read(opened(), frozen(), key.data(), key.size(), room.data(), room.size(), &size,
                              call.error());
        return call.unless(SARSEN_NOT_FOUND, size);
    }
    // Many keys for less than one by one.
    result<values> kv_get_many(const bytes *keys, std::size_t count) const {
        values found(count);
        detail::call call;
        call = sarsen_kv_get_many(opened(), frozen(), reinterpret_cast<const sarsen_bytes *>(keys), count,
                                  found.out_views(), found.out_statuses(), call.error());
        return call.value(std::move(found));
    }
    result<values> kv_get_many(const std::vector<bytes> &keys) const { return kv_get_many(keys.data(), keys.size()); }
    result<values> kv_get_many(std::initializer_list<bytes> keys) const {
        return kv_get_many(keys.begin(), keys.size());
    }
    // Keys in [start, end); an empty bound is none.
    result<sarsen::kv_scan> kv_scan(bytes start = {}, bytes end = {}, order direction = order::ascending) const {
        sarsen_kv_iter *scan = nullptr;
        detail::call call;
        call = sarsen_kv_scan(opened(), frozen(), start.data(), start.size(), end.data(), end.size(),
                              direction == order::descending, &scan, call.error());
        return call.value(sarsen::kv_scan(scan));
    }
    result<sarsen::kv_scan> kv_prefix(bytes prefix, order direction = order::ascending) const {
        sarsen_kv_iter *scan = nullptr;
        detail::call call;
        call = sarsen_kv_prefix(opened(), frozen(), prefix.data(), prefix.size(), direction == order::descending,
                                &scan, call.error());
        return call.value(sarsen::kv_scan(scan));
    }

    result<std::optional<sarsen::stream_bounds>> stream_bounds(bytes name) const {
        sarsen::stream_bounds bounds{};
        detail::call call;
        call = sarsen_stream_bounds(opened(), frozen(), name.data(), name.size(), &bounds.first, &bounds.next,
                                    call.error());
        return call.unless(SARSEN_NOT_FOUND, bounds);
    }
    result<std::optional<view>> stream_get(bytes name, std::uint64_t index) const {
        view found;
        detail::call call;
        call = sarsen_stream_get(opened(), frozen(), name.data(), name.size(), index, found.out(), call.error());
        return call.unless(SARSEN_NOT_FOUND, std::move(found));
    }
    // Records from index `from` on, or from the first one there is.
    result<stream_scan> stream_read(bytes name, std::uint64_t from = 0) const {
        sarsen_stream_iter *scan = nullptr;
        detail::call call;
        call = sarsen_stream_read(opened(), frozen(), name.data(), name.size(), from, &scan, call.error());
        if (call.status() == SARSEN_NOT_FOUND) call = SARSEN_OK;
        return call.value(stream_scan(scan));
    }
    result<stream_names> stream_list(bytes prefix = {}) const {
        sarsen_stream_names *names = nullptr;
        detail::call call;
        call = sarsen_stream_list(opened(), frozen(), prefix.data(), prefix.size(), &names, call.error());
        return call.value(stream_names(names));
    }

    result<std::optional<view>> memory_get(std::uint64_t id) const {
        view found;
        detail::call call;
        call = sarsen_memory_get(opened(), frozen(), id, found.out(), call.error());
        return call.unless(SARSEN_NOT_FOUND, std::move(found));
    }
    result<std::optional<memory_details>> memory_info(std::uint64_t id) const {
        memory_details details{};
        sarsen_tags *carried = nullptr;
        detail::call call;
        call = sarsen_memory_info(opened(), frozen(), id, &details.block, &carried, call.error());
        details.tags = tags(carried);
        return call.unless(SARSEN_NOT_FOUND, std::move(details));
    }
    result<memory_scan> memory_find(const query &which = {}) const {
        sarsen_memory_iter *scan = nullptr;
        detail::call call;
        call = sarsen_memory_find(opened(), frozen(), which.all.handle(), which.any.handle(), which.none.handle(),
                                  which.from_id, &scan, call.error());
        return call.value(memory_scan(scan));
    }

    // Blocks have no snapshots: they never change. False: no such block.
    result<bool> block_read(const block &which, std::uint64_t from, buffer room) const {
        detail::call call;
        call = sarsen_block_read(opened(), &which, from, room.data(), room.size(), call.error());
        return call.rather_than(SARSEN_NOT_FOUND);
    }
    result<std::optional<view>> block_view(const block &which) const { return block_view(which, 0, which.len); }
    result<std::optional<view>> block_view(const block &which, std::uint64_t from, std::size_t size) const {
        view found;
        detail::call call;
        call = sarsen_block_view(opened(), &which, from, size, found.out(), call.error());
        return call.unless(SARSEN_NOT_FOUND, std::move(found));
    }

    // Writes this state to `path`, where nothing may be yet, as a store of its own.
    result<void> backup(const std::string &path) const {
        detail::call call;
        call = sarsen_store_backup(opened(), frozen(), path.c_str(), call.error());
        return call.done();
    }

  protected:
    reader() = default;
    explicit reader(std::shared_ptr<detail::core> store, sarsen_snapshot *snapshot = nullptr) noexcept
        : core_(std::move(store)), snapshot_(snapshot) {}
    ~reader() = default;
    reader(reader &&) = default;
    reader &operator=(reader &&) = default;
    const sarsen_store *opened() const noexcept {
        return core_ ? core_->store.load(std::memory_order_acquire) : nullptr;
    }
    const sarsen_snapshot *frozen() const noexcept { return snapshot_.get(); }

    std::shared_ptr<detail::core> core_;
    detail::owner<sarsen_snapshot, sarsen_snapshot_free> snapshot_;
};

// One frozen view over all four kinds of data. While it is held, what it sees takes space on disk.
class snapshot : public reader {
  public:
    snapshot() = default;
    snapshot(std::shared_ptr<detail::core> store, sarsen_snapshot *owned) noexcept
        : reader(std::move(store), owned) {}
    // The newest commit it sees.
    std::uint64_t seq() const noexcept { return sarsen_snapshot_seq(frozen()); }
    const sarsen_snapshot *handle() const noexcept { return frozen(); }
};

} // namespace SARSEN_FAILURES
} // namespace sarsen

#endif
