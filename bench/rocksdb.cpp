// RocksDB: a block cache larger than the data, a bloom filter of 10 bits a key, a hash index within data blocks for
// point reads, blob files for values of 16 KiB and more, pipelined writes, no compression (the data can't be
// compressed). Commits that survive power loss: WriteOptions::sync; kill -9: its default, a write to the log.
#include "pairs.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>

namespace bench {
namespace {

rocksdb::Slice slice(Bytes from) { return {reinterpret_cast<const char *>(from.data), from.size}; }
Bytes from(const rocksdb::Slice &slice) { return {reinterpret_cast<const uint8_t *>(slice.data()), slice.size()}; }

void must(const rocksdb::Status &status, const char *what) {
    if (!status.ok()) throw Failure(std::string("RocksDB, ") + what + ": " + status.ToString());
}

class Session {
  public:
    Session(rocksdb::DB *db, bool durable, bool frozen) : db_(db) {
        write_.sync = durable;
        if (frozen) read_.snapshot = db_->GetSnapshot();
    }
    ~Session() {
        if (read_.snapshot != nullptr) db_->ReleaseSnapshot(read_.snapshot);
    }
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

    void put(const Change *changes, size_t count, bool) {
        if (count == 1 && !changes->remove) {
            must(db_->Put(write_, slice(changes->key), slice(changes->value)), "put");
            return;
        }
        batch_.Clear();
        for (size_t i = 0; i < count; ++i)
            must(changes[i].remove ? batch_.Delete(slice(changes[i].key))
                                   : batch_.Put(slice(changes[i].key), slice(changes[i].value)),
                 "batch");
        must(db_->Write(write_, &batch_), "write");
    }

    bool get(Bytes key, Bytes &value) {
        found_.Reset();
        const rocksdb::Status status = db_->Get(read_, db_->DefaultColumnFamily(), slice(key), &found_);
        if (status.IsNotFound()) return false;
        must(status, "get");
        value = from(found_);
        return true;
    }

    template <class Each> void walk(Bytes start, Each each) {
        const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read_));
        if (start.size == 0)
            at->SeekToFirst();
        else
            at->Seek(slice(start));
        while (at->Valid() && each(from(at->key()), from(at->value()))) at->Next();
        must(at->status(), "next");
    }

  private:
    rocksdb::DB *db_;
    rocksdb::WriteOptions write_;
    rocksdb::ReadOptions read_;
    rocksdb::WriteBatch batch_;
    rocksdb::PinnableSlice found_;
};

class RocksDb : public Engine {
  public:
    ~RocksDb() override { RocksDb::close(); }
    void open(const Settings &settings) override {
        durable_ = settings.safety == Safety::power;
        rocksdb::Options options;
        options.create_if_missing = true;
        options.IncreaseParallelism(2);
        options.enable_pipelined_write = true;
        options.compression = rocksdb::kNoCompression;
        rocksdb::BlockBasedTableOptions table;
        table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
        table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
        const uint64_t cache = settings.memory_bytes != 0 ? settings.memory_bytes / 2
                                                          : (uint64_t{256} << 20) + 2 * settings.data_bytes;
        table.block_cache = rocksdb::NewLRUCache(cache);
        if (settings.memory_bytes != 0) {
            options.write_buffer_size = settings.memory_bytes / 8;
            table.cache_index_and_filter_blocks = true;
        }
        if (settings.value_bytes >= (16u << 10)) {
            options.enable_blob_files = true;
            options.blob_cache = table.block_cache;
            options.enable_blob_garbage_collection = true;
        }
        options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
        rocksdb::DB *db;
        must(rocksdb::DB::Open(options, settings.directory, &db), "open");
        db_.reset(db);
    }
    void close() override {
        if (db_ != nullptr) must(db_->Close(), "close");
        db_.reset();
    }
    std::unique_ptr<Writer> writer(unsigned number) override {
        return std::make_unique<PairWriter<Session>>(std::make_unique<Session>(db_.get(), durable_, false), number,
                                                     false);
    }
    std::unique_ptr<Reader> reader(ReadMode mode) override {
        const bool frozen = mode == ReadMode::snapshot;
        return std::make_unique<PairReader<Session>>(std::make_unique<Session>(db_.get(), false, frozen), mode);
    }
    void sync() override { must(db_->SyncWAL(), "sync"); }
    void settle() override { must(db_->CompactRange({}, nullptr, nullptr), "compact"); }

  private:
    std::unique_ptr<rocksdb::DB> db_;
    bool durable_ = false;
};

} // namespace

EngineKind rocksdb_kind() {
    return {"rocksdb",
            Role::peer,
            gives_all_of_a_peer,
            rocksdb::GetRocksVersionAsString(false),
            "block cache > data, bloom 10 bits, hash in blocks, blob files from 16 KiB; checks blocks when cached",
            [] { return std::make_unique<RocksDb>(); }};
}

} // namespace bench
