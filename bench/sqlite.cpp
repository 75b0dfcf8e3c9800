// SQLite: WAL, prepared statements, a page cache larger than the data and reads through a map, pages of 16 KiB where
// values are that large, a table for each kind of data. Commits that survive power loss: synchronous=FULL; kill -9:
// synchronous=OFF, where a commit is writes to the WAL. One connection writes, under a mutex, as there is one writer
// at a time anyway; each reader has its own.
#include "engine.h"

#include <sqlite3.h>

#include <mutex>
#include <unordered_map>

namespace bench {
namespace {

class Connection;

class Statement {
  public:
    Statement(sqlite3 *db, const char *text) : db_(db) {
        if (sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr) != SQLITE_OK) fail();
    }
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement &) = delete;
    Statement &operator=(const Statement &) = delete;

    Statement &blob(int at, Bytes value) {
        static const uint8_t nothing = 0;
        const void *data = value.data != nullptr ? value.data : &nothing;
        if (sqlite3_bind_blob64(statement_, at, data, value.size, SQLITE_STATIC) != SQLITE_OK) fail();
        return *this;
    }
    Statement &number(int at, uint64_t value) {
        if (sqlite3_bind_int64(statement_, at, static_cast<sqlite3_int64>(value)) != SQLITE_OK) fail();
        return *this;
    }
    bool step() {
        const int status = sqlite3_step(statement_);
        if (status != SQLITE_ROW && status != SQLITE_DONE) fail();
        return status == SQLITE_ROW;
    }
    void run() {
        step();
        reset();
    }
    void reset() {
        if (sqlite3_reset(statement_) != SQLITE_OK) fail();
    }
    Bytes column(int at) {
        const void *data = sqlite3_column_blob(statement_, at);
        return {static_cast<const uint8_t *>(data), static_cast<size_t>(sqlite3_column_bytes(statement_, at))};
    }
    uint64_t column_number(int at) { return static_cast<uint64_t>(sqlite3_column_int64(statement_, at)); }

  private:
    [[noreturn]] void fail() { throw Failure(std::string("SQLite: ") + sqlite3_errmsg(db_)); }
    sqlite3 *db_;
    sqlite3_stmt *statement_ = nullptr;
};

class Connection {
  public:
    Connection(const Settings &settings, bool writes) {
        const std::string path = settings.directory + "/store.sqlite";
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
        if (sqlite3_open_v2(path.c_str(), &db_, flags, nullptr) != SQLITE_OK) fail();
        sqlite3_busy_timeout(db_, 60000);
        const uint64_t cache = settings.memory_bytes != 0
                                   ? settings.memory_bytes / 2
                                   : (uint64_t{64} << 20) + 2 * settings.data_bytes;
        if (settings.value_bytes >= (16u << 10)) run("PRAGMA page_size=16384");
        run("PRAGMA journal_mode=WAL");
        run(settings.safety == Safety::power ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
        run("PRAGMA cache_size=-" + std::to_string(cache >> 10));
        run("PRAGMA mmap_size=" + std::to_string(settings.memory_bytes != 0 ? 0 : 4 * cache));
        if (!writes) return;
        run("CREATE TABLE IF NOT EXISTS pairs(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID");
        run("CREATE TABLE IF NOT EXISTS blocks(id INTEGER PRIMARY KEY, data BLOB NOT NULL)");
        run("CREATE TABLE IF NOT EXISTS records(stream BLOB, place INTEGER, data BLOB NOT NULL, "
            "PRIMARY KEY(stream, place)) WITHOUT ROWID");
        run("CREATE TABLE IF NOT EXISTS memories(id INTEGER PRIMARY KEY, data BLOB NOT NULL)");
        run("CREATE TABLE IF NOT EXISTS tags(tag BLOB, id INTEGER, PRIMARY KEY(tag, id)) WITHOUT ROWID");
    }
    ~Connection() { sqlite3_close(db_); }
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;
    sqlite3 *get() { return db_; }
    void run(const std::string &text) {
        if (sqlite3_exec(db_, text.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
    }

  private:
    [[noreturn]] void fail() { throw Failure(std::string("SQLite: ") + sqlite3_errmsg(db_)); }
    sqlite3 *db_ = nullptr;
};

// Block numbers leave room for 16 writers.
uint64_t block_id(unsigned writer, uint64_t i) { return (uint64_t{writer} << 40) | i; }

// The one connection that writes, with its statements.
struct Writing {
    explicit Writing(const Settings &settings)
        : connection(settings, true), begin(connection.get(), "BEGIN IMMEDIATE"), commit(connection.get(), "COMMIT"),
          set(connection.get(), "INSERT INTO pairs VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = ?2"),
          remove(connection.get(), "DELETE FROM pairs WHERE key = ?1"),
          block(connection.get(), "INSERT INTO blocks VALUES(?1, ?2)"),
          record(connection.get(), "INSERT INTO records VALUES(?1, ?2, ?3)"),
          memory(connection.get(), "INSERT OR REPLACE INTO memories VALUES(?1, ?2)"),
          tag(connection.get(), "INSERT OR REPLACE INTO tags VALUES(?1, ?2)") {}
    Connection connection;
    Statement begin, commit, set, remove, block, record, memory, tag;
    std::mutex mutex;
    std::unordered_map<std::string, uint64_t> next;
};

class SqliteWriter : public Writer {
  public:
    SqliteWriter(Writing &writing, unsigned number) : to_(writing), number_(number) {}
    void block(Bytes data) override {
        const std::lock_guard<std::mutex> hold(to_.mutex);
        to_.block.number(1, block_id(number_, blocks_++)).blob(2, data).run();
    }
    void set(Bytes key, Bytes value) override {
        const std::lock_guard<std::mutex> hold(to_.mutex);
        to_.set.blob(1, key).blob(2, value).run();
    }
    void stream(Bytes name, Bytes record) override {
        const std::lock_guard<std::mutex> hold(to_.mutex);
        add({name, record});
    }
    void memory(uint64_t id, const Tags &tags, Bytes data) override {
        const std::lock_guard<std::mutex> hold(to_.mutex);
        to_.begin.run();
        add(id, tags, data);
        to_.commit.run();
    }
    void memories(const uint64_t *ids, const Bytes *data, size_t count) override {
        const std::lock_guard<std::mutex> hold(to_.mutex);
        to_.begin.run();
        for (size_t i = 0; i < count; ++i) add(ids[i], Tags(ids[i]), data[i]);
        to_.commit.run();
    }
    void apply(const Change *changes, size_t count) override {
        const std::lock_guard<std::mutex> hold(to_.mutex);
        to_.begin.run();
        for (size_t i = 0; i < count; ++i) {
            if (changes[i].remove)
                to_.remove.blob(1, changes[i].key).run();
            else
                to_.set.blob(1, changes[i].key).blob(2, changes[i].value).run();
        }
        to_.commit.run();
    }
    void append(const Record *records, size_t count) override {
        const std::lock_guard<std::mutex> hold(to_.mutex);
        to_.begin.run();
        for (size_t i = 0; i < count; ++i) add(records[i]);
        to_.commit.run();
    }

  private:
    void add(const Record &record) {
        name_.assign(reinterpret_cast<const char *>(record.stream.data), record.stream.size);
        to_.record.blob(1, record.stream).number(2, to_.next[name_]++).blob(3, record.data).run();
    }
    void add(uint64_t id, const Tags &tags, Bytes data) {
        to_.memory.number(1, id).blob(2, data).run();
        for (const std::string &text : tags.text) to_.tag.blob(1, bytes(text)).number(2, id).run();
    }

    Writing &to_;
    uint64_t blocks_ = 0;
    unsigned number_;
    std::string name_;
};

class SqliteReader : public Reader {
  public:
    SqliteReader(const Settings &settings, ReadMode mode)
        : mode_(mode), connection_(settings, false), get_(connection_.get(), "SELECT value FROM pairs WHERE key = ?1"),
          block_(connection_.get(), "SELECT data FROM blocks WHERE id = ?1"),
          record_(connection_.get(), "SELECT data FROM records WHERE stream = ?1 AND place = ?2"),
          memory_(connection_.get(), "SELECT data FROM memories WHERE id = ?1"),
          scan_(connection_.get(), "SELECT key, value FROM pairs WHERE key >= ?1 ORDER BY key LIMIT ?2"),
          stream_(connection_.get(), "SELECT data FROM records WHERE stream = ?1 ORDER BY place"),
          find_(connection_.get(), "SELECT memories.id, data FROM tags JOIN memories ON memories.id = tags.id "
                                   "WHERE tag = ?1 ORDER BY tags.id") {
        if (mode == ReadMode::snapshot) connection_.run("BEGIN");
    }
    bool block(unsigned writer, uint64_t i, Bytes &data) override {
        return one(fresh(block_).number(1, block_id(writer, i)), data);
    }
    bool get(Bytes key, Bytes &value) override { return one(fresh(get_).blob(1, key), value); }
    bool record(Bytes stream, uint64_t index, Bytes &data) override {
        return one(fresh(record_).blob(1, stream).number(2, index), data);
    }
    bool memory(uint64_t id, Bytes &data) override { return one(fresh(memory_).number(1, id), data); }
    uint64_t scan(Bytes start, uint64_t limit, uint64_t &count) override {
        // A larger LIMIT than there are numbers for means: all.
        fresh(scan_).blob(1, start).number(2, limit >> 63 != 0 ? UINT64_MAX : limit);
        uint64_t sum = 0;
        for (; scan_.step(); ++count) sum += digest(scan_.column(0), scan_.column(1));
        return sum;
    }
    uint64_t read_stream(Bytes stream, uint64_t &count) override {
        fresh(stream_).blob(1, stream);
        uint64_t sum = 0;
        for (; stream_.step(); ++count) sum += digest(stream_.column(0));
        return sum;
    }
    uint64_t find(Bytes tag, uint64_t &count) override {
        fresh(find_).blob(1, tag);
        uint64_t sum = 0;
        for (; find_.step(); ++count) sum += mix(find_.column_number(0)) ^ digest(find_.column(1));
        return sum;
    }

  private:
    // Ends the read before, whose bytes were good until now.
    Statement &fresh(Statement &statement) {
        if (open_ != nullptr) open_->reset();
        open_ = &statement;
        return statement;
    }
    bool one(Statement &statement, Bytes &value) {
        if (!statement.step()) return false;
        value = statement.column(0);
        if (mode_ == ReadMode::copy) {
            copy_.assign(value.data, value.data + value.size);
            value.data = copy_.data();
        }
        return true;
    }

    ReadMode mode_;
    Connection connection_;
    Statement get_, block_, record_, memory_, scan_, stream_, find_;
    Statement *open_ = nullptr;
    std::vector<uint8_t> copy_;
};

class Sqlite : public Engine {
  public:
    void open(const Settings &settings) override {
        settings_ = settings;
        writing_ = std::make_unique<Writing>(settings);
    }
    void close() override { writing_.reset(); }
    std::unique_ptr<Writer> writer(unsigned number) override {
        return std::make_unique<SqliteWriter>(*writing_, number);
    }
    std::unique_ptr<Reader> reader(ReadMode mode) override { return std::make_unique<SqliteReader>(settings_, mode); }
    void sync() override {
        // A checkpoint syncs the WAL, copies it and syncs the file.
        writing_->connection.run("PRAGMA synchronous=FULL");
        writing_->connection.run("PRAGMA wal_checkpoint(FULL)");
        if (settings_.safety == Safety::process) writing_->connection.run("PRAGMA synchronous=OFF");
    }

  private:
    Settings settings_;
    std::unique_ptr<Writing> writing_;
};

} // namespace

EngineKind sqlite_kind() {
    return {"sqlite",
            Role::peer,
            gives_all_of_a_peer,
            sqlite3_libversion(),
            "WAL, prepared statements, mapped reads; process: synchronous=OFF; power: FULL; no checksums",
            [] { return std::make_unique<Sqlite>(); }};
}

} // namespace bench
