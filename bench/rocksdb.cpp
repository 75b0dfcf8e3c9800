// RocksDB: a block cache larger than the data, a bloom filter of 10 bits a key, a hash index within data blocks for
// point reads, blob files for values of 16 KiB and more, pipelined writes, no compression (the data can't be
// compressed). Commits that survive power loss: WriteOptions::sync; kill -9: its default, a write to the log.
#include "lsm.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>

namespace bench {
namespace {

struct Library {
    static constexpr const char *name = "RocksDB";
    using Database = rocksdb::DB;
    using Slice = rocksdb::Slice;
    using Status = rocksdb::Status;
    using Iterator = rocksdb::Iterator;
    using Batch = rocksdb::WriteBatch;
    using WriteOptions = rocksdb::WriteOptions;
    using ReadOptions = rocksdb::ReadOptions;
    using Found = rocksdb::PinnableSlice;

    static Status put(Batch &batch, const Slice &key, const Slice &value) { return batch.Put(key, value); }
    static Status remove(Batch &batch, const Slice &key) { return batch.Delete(key); }
    static Status get(Database &db, const ReadOptions &read, const Slice &key, Found &found) {
        found.Reset();
        return db.Get(read, db.DefaultColumnFamily(), key, &found);
    }
    static ReadOptions reading() { return {}; }
    static ReadMode mode(ReadMode mode) { return mode; }
};

class RocksDb : public LsmEngine<Library> {
  public:
    ~RocksDb() override { RocksDb::close(); }
    void open(const Settings &settings) override {
        rocksdb::Options options;
        options.IncreaseParallelism(2);
        options.enable_pipelined_write = true;
        options.compression = rocksdb::kNoCompression;
        rocksdb::BlockBasedTableOptions table;
        table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
        table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
        const uint64_t cache_bytes = start(settings, options);
        table.block_cache = rocksdb::NewLRUCache(cache_bytes);
        table.cache_index_and_filter_blocks = settings.memory_bytes != 0;
        if (settings.value_bytes >= (16u << 10)) {
            options.enable_blob_files = true;
            options.blob_cache = table.block_cache;
            options.enable_blob_garbage_collection = true;
        }
        options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
        open_with(options, settings.directory);
    }
    void close() override {
        if (db_ != nullptr) must<Library>(db_->Close(), "close");
        db_.reset();
    }
    void sync() override { must<Library>(db_->SyncWAL(), "sync"); }
    void settle() override { must<Library>(db_->CompactRange({}, nullptr, nullptr), "compact"); }
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
