// LevelDB and RocksDB, which grew out of it and kept its interface: one session over either, and what their engines
// share. A driver names its library's types and says where the two differ, in a struct `Library`:
//
//   name                                             for messages
//   Database, Slice, Status, Iterator, Batch, WriteOptions, ReadOptions
//   Found                                            what a get leaves its bytes in, with data() and size()
//   Status put(Batch &, key, value), Status remove(Batch &, key)
//   Status get(Database &, const ReadOptions &, key, Found &)
//   ReadOptions reading()                            what every read asks for
//   ReadMode mode(ReadMode)                          how a reader treats the bytes that a get gave it
#pragma once

#include "pairs.h"

namespace bench {

template <class Library> void must(const typename Library::Status &status, const char *what) {
    if (!status.ok()) throw Failure(std::string(Library::name) + ", " + what + ": " + status.ToString());
}

template <class Library> class LsmSession {
  public:
    using Database = typename Library::Database;
    using Slice = typename Library::Slice;
    using Status = typename Library::Status;

    LsmSession(Database *db, bool durable, bool frozen) : db_(db), read_(Library::reading()) {
        write_.sync = durable;
        if (frozen) read_.snapshot = db_->GetSnapshot();
    }
    ~LsmSession() {
        if (read_.snapshot != nullptr) db_->ReleaseSnapshot(read_.snapshot);
    }
    LsmSession(const LsmSession &) = delete;
    LsmSession &operator=(const LsmSession &) = delete;

    void put(const Change *changes, size_t count, bool) {
        if (count == 1 && !changes->remove) {
            must<Library>(db_->Put(write_, slice(changes->key), slice(changes->value)), "put");
            return;
        }
        batch_.Clear();
        for (size_t i = 0; i < count; ++i)
            must<Library>(changes[i].remove
                              ? Library::remove(batch_, slice(changes[i].key))
                              : Library::put(batch_, slice(changes[i].key), slice(changes[i].value)),
                          "batch");
        must<Library>(db_->Write(write_, &batch_), "write");
    }

    bool get(Bytes key, Bytes &value) {
        const Status status = Library::get(*db_, read_, slice(key), found_);
        if (status.IsNotFound()) return false;
        must<Library>(status, "get");
        value = from(found_);
        return true;
    }

    template <class Each> void walk(Bytes start, Each each) {
        const std::unique_ptr<typename Library::Iterator> at(db_->NewIterator(read_));
        if (start.size == 0)
            at->SeekToFirst();
        else
            at->Seek(slice(start));
        while (at->Valid() && each(from(at->key()), from(at->value()))) at->Next();
        must<Library>(at->status(), "next");
    }

  private:
    static Slice slice(Bytes from) { return {reinterpret_cast<const char *>(from.data), from.size}; }
    template <class Text> static Bytes from(const Text &text) {
        return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
    }

    Database *db_;
    typename Library::WriteOptions write_;
    typename Library::ReadOptions read_;
    typename Library::Batch batch_;
    typename Library::Found found_;
};

// Who derives from it opens the database, and closes, syncs and settles it.
template <class Library> class LsmEngine : public Engine {
  public:
    std::unique_ptr<Writer> writer(unsigned number) override {
        return std::make_unique<PairWriter<Session>>(std::make_unique<Session>(db_.get(), durable_, false), number,
                                                     false);
    }
    std::unique_ptr<Reader> reader(ReadMode mode) override {
        const bool frozen = mode == ReadMode::snapshot;
        return std::make_unique<PairReader<Session>>(std::make_unique<Session>(db_.get(), false, frozen),
                                                     Library::mode(mode));
    }

  protected:
    using Session = LsmSession<Library>;

    // Sets what both take from the settings; gives the bytes that the block cache may have.
    template <class Options> uint64_t start(const Settings &settings, Options &options) {
        durable_ = settings.safety == Safety::power;
        options.create_if_missing = true;
        if (settings.memory_bytes == 0) return (uint64_t{256} << 20) + 2 * settings.data_bytes;
        options.write_buffer_size = settings.memory_bytes / 8;
        return settings.memory_bytes / 2;
    }
    template <class Options> void open_with(const Options &options, const std::string &directory) {
        typename Library::Database *db;
        must<Library>(Library::Database::Open(options, directory, &db), "open");
        db_.reset(db);
    }

    std::unique_ptr<typename Library::Database> db_;
    bool durable_ = false;
};

} // namespace bench
