// LMDB: a map larger than the data. Commits that survive power loss: its default, synced, without a writable map.
// Commits that survive kill -9: MDB_NOSYNC | MDB_WRITEMAP, so that a commit is stores into the shared map.
#include "pairs.h"

#include <lmdb.h>

#include <sys/stat.h>

namespace bench {
namespace {

void must(int status, const char *what) {
    if (status != MDB_SUCCESS) throw Failure(std::string("LMDB, ") + what + ": " + mdb_strerror(status));
}

MDB_val val(Bytes from) { return {from.size, const_cast<uint8_t *>(from.data)}; }
Bytes from(const MDB_val &value) { return {static_cast<const uint8_t *>(value.mv_data), value.mv_size}; }

class Session {
  public:
    Session(MDB_env *env, MDB_dbi pairs, bool reads, bool frozen) : env_(env), pairs_(pairs), frozen_(frozen) {
        if (!reads) return;
        must(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reading_), "begin");
        must(mdb_cursor_open(reading_, pairs_, &cursor_), "cursor");
        if (!frozen_) mdb_txn_reset(reading_);
    }
    ~Session() {
        if (cursor_ != nullptr) mdb_cursor_close(cursor_);
        if (reading_ != nullptr) mdb_txn_abort(reading_);
    }
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

    void put(const Change *changes, size_t count, bool ascending) {
        MDB_txn *txn;
        must(mdb_txn_begin(env_, nullptr, 0, &txn), "begin");
        for (size_t i = 0; i < count; ++i) {
            MDB_val key = val(changes[i].key), value = val(changes[i].value);
            const int status = changes[i].remove ? mdb_del(txn, pairs_, &key, nullptr)
                                                 : mdb_put(txn, pairs_, &key, &value, ascending ? MDB_APPEND : 0);
            if (status != MDB_SUCCESS && !(changes[i].remove && status == MDB_NOTFOUND)) {
                mdb_txn_abort(txn);
                must(status, "put");
            }
        }
        must(mdb_txn_commit(txn), "commit");
    }

    bool get(Bytes key, Bytes &value) {
        renew();
        MDB_val wanted = val(key), found;
        const int status = mdb_get(reading_, pairs_, &wanted, &found);
        if (status == MDB_NOTFOUND) return false;
        must(status, "get");
        value = from(found);
        return true;
    }

    template <class Each> void walk(Bytes start, Each each) {
        renew();
        if (!frozen_) must(mdb_cursor_renew(reading_, cursor_), "cursor");
        MDB_val key = val(start), value;
        int status = mdb_cursor_get(cursor_, &key, &value, start.size == 0 ? MDB_FIRST : MDB_SET_RANGE);
        while (status == MDB_SUCCESS && each(from(key), from(value)))
            status = mdb_cursor_get(cursor_, &key, &value, MDB_NEXT);
        if (status != MDB_NOTFOUND) must(status, "next");
    }

  private:
    // 'Now': the transaction is taken up again for each read, as its documentation advises; it stays until the next.
    void renew() {
        if (frozen_) return;
        mdb_txn_reset(reading_);
        must(mdb_txn_renew(reading_), "renew");
    }

    MDB_env *env_;
    MDB_dbi pairs_;
    bool frozen_;
    MDB_txn *reading_ = nullptr;
    MDB_cursor *cursor_ = nullptr;
};

class Lmdb : public Engine {
  public:
    ~Lmdb() override { Lmdb::close(); }
    void open(const Settings &settings) override {
        threads_ = settings.threads;
        must(mdb_env_create(&env_), "create");
        const uint64_t size = (uint64_t{1} << 30) + 4 * settings.data_bytes;
        must(mdb_env_set_mapsize(env_, size & ~uint64_t{4095}), "map size");
        const unsigned level = settings.safety == Safety::process ? MDB_NOSYNC | MDB_WRITEMAP : 0;
        must(mdb_env_open(env_, settings.directory.c_str(), level | MDB_NOTLS, 0644), "open");
        MDB_txn *txn;
        must(mdb_txn_begin(env_, nullptr, 0, &txn), "begin");
        must(mdb_dbi_open(txn, nullptr, 0, &pairs_), "database");
        must(mdb_txn_commit(txn), "commit");
    }
    void close() override {
        if (env_ != nullptr) mdb_env_close(env_);
        env_ = nullptr;
    }
    std::unique_ptr<Writer> writer(unsigned number) override {
        return std::make_unique<PairWriter<Session>>(std::make_unique<Session>(env_, pairs_, false, false), number,
                                                     threads_ == 1);
    }
    std::unique_ptr<Reader> reader(ReadMode mode) override {
        const bool frozen = mode == ReadMode::snapshot;
        return std::make_unique<PairReader<Session>>(std::make_unique<Session>(env_, pairs_, true, frozen), mode);
    }
    void sync() override { must(mdb_env_sync(env_, 1), "sync"); }

  private:
    MDB_env *env_ = nullptr;
    MDB_dbi pairs_ = 0;
    unsigned threads_ = 1;
};

} // namespace

EngineKind lmdb_kind() {
    const std::string version = std::to_string(MDB_VERSION_MAJOR) + "." + std::to_string(MDB_VERSION_MINOR) + "." +
                                std::to_string(MDB_VERSION_PATCH);
    return {"lmdb",  Role::peer, gives_all_of_a_peer,
            version, "process: MDB_NOSYNC|MDB_WRITEMAP; power: defaults; no checksums",
            [] { return std::make_unique<Lmdb>(); }};
}

} // namespace bench
