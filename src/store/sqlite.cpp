#include <sqlite3.h>
#include <sys/stat.h>

#include <array>

#include "store/database.h"

namespace weir::store {
namespace {

struct CloseConnection {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
};
struct FinalizeStatement {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, CloseConnection>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

ErrorCode kind_of(int code) {
    switch (code & 0xff) {  // the rest says more about the same
        case SQLITE_FULL:
            return ErrorCode::ResourceExhausted;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return ErrorCode::DataCorrupt;
        case SQLITE_CONSTRAINT:
        case SQLITE_MISMATCH:
        case SQLITE_TOOBIG:
        case SQLITE_RANGE:
            return ErrorCode::InvalidArgument;
        default:
            return ErrorCode::Unavailable;
    }
}

std::unexpected<Error> sqlite_error(sqlite3* connection, int code) {
    return fail(kind_of(code), "database: {}",
                connection == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(connection));
}

Value column(sqlite3_stmt* statement, int index) {
    switch (sqlite3_column_type(statement, index)) {
        case SQLITE_NULL:
            return nullptr;
        case SQLITE_INTEGER:
            return int64_t{sqlite3_column_int64(statement, index)};
        default: {
            const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
            return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement, index)));
        }
    }
}

int bind(sqlite3_stmt* statement, int index, const Value& value) {
    if (const auto* number = std::get_if<int64_t>(&value)) {
        return sqlite3_bind_int64(statement, index, *number);
    }
    if (const auto* text = std::get_if<std::string>(&value)) {
        return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT,
                                   SQLITE_UTF8);
    }
    return sqlite3_bind_null(statement, index);
}

class SqliteDatabase final : public Database {
  public:
    explicit SqliteDatabase(Connection connection) : connection_(std::move(connection)) {}

    Result<std::vector<Row>> query(std::string_view sql,
                                   std::span<const Value> parameters) override {
        std::vector<Row> rows;
        while (!sql.empty()) {  // a migration may hold several statements
            const char* rest = nullptr;
            sqlite3_stmt* raw = nullptr;
            const int prepared = sqlite3_prepare_v2(connection_.get(), sql.data(),
                                                    static_cast<int>(sql.size()), &raw, &rest);
            const Statement statement(raw);
            if (prepared != SQLITE_OK) {
                return sqlite_error(connection_.get(), prepared);
            }
            sql.remove_prefix(static_cast<size_t>(rest - sql.data()));
            if (statement != nullptr) {
                WEIR_TRY(run(statement.get(), parameters, rows));
            }
        }
        return rows;
    }

    Result<void> begin() override { return command("BEGIN IMMEDIATE"); }
    Result<void> commit() override { return command("COMMIT"); }
    Result<void> roll_back() override {
        // SQLite rolls back by itself after some failures, and not after others.
        return sqlite3_get_autocommit(connection_.get()) != 0 ? Result<void>()
                                                              : command("ROLLBACK");
    }

    Result<void> command(std::string_view sql) {
        WEIR_TRY(query(sql, {}));
        return {};
    }

  private:
    Result<void> run(sqlite3_stmt* statement, std::span<const Value> parameters,
                     std::vector<Row>& rows) {
        for (size_t i = 0; i < parameters.size(); ++i) {
            const int bound = bind(statement, static_cast<int>(i) + 1, parameters[i]);
            if (bound != SQLITE_OK) {
                return sqlite_error(connection_.get(), bound);
            }
        }
        while (true) {
            const int stepped = sqlite3_step(statement);
            if (stepped == SQLITE_DONE) {
                return {};
            }
            if (stepped != SQLITE_ROW) {
                return sqlite_error(connection_.get(), stepped);
            }
            Row& row = rows.emplace_back();
            for (int i = 0; i < sqlite3_column_count(statement); ++i) {
                row.push_back(column(statement, i));
            }
        }
    }

    Connection connection_;
};

Result<std::unique_ptr<SqliteDatabase>> open(const std::string& name) {
    sqlite3* raw = nullptr;
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const int opened = sqlite3_open_v2(name.c_str(), &raw, kFlags, nullptr);
    Connection connection(raw);
    if (opened != SQLITE_OK) {
        return sqlite_error(raw, opened);
    }
    return std::make_unique<SqliteDatabase>(std::move(connection));
}

}  // namespace

Result<std::unique_ptr<Database>> open_sqlite(const std::filesystem::path& path,
                                              Durability durability) {
    WEIR_TRY_ASSIGN(auto database, open(path.string()));
    if (::chmod(path.c_str(), 0600) != 0) {
        return fail(ErrorCode::PermissionDenied, "cannot protect {}", path.filename().string());
    }
    WEIR_TRY(database->command("PRAGMA journal_mode = WAL"));
    WEIR_TRY(database->command(durability == Durability::Full ? "PRAGMA synchronous = FULL"
                                                              : "PRAGMA synchronous = NORMAL"));
    WEIR_TRY(database->command("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF"));
    return database;
}

Result<std::unique_ptr<Database>> open_memory() {
    return open(":memory:");
}

}  // namespace weir::store
