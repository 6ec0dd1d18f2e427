#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace weir::store {

using Value = std::variant<std::nullptr_t, int64_t, std::string>;
using Row = std::vector<Value>;

// One step from a schema to the next. Steps are numbered from 1 and never change once released.
struct Migration {
    std::string_view name;
    std::string_view sql;
};

// A relational database, small enough to be spoken by SQLite and by PostgreSQL: statements with
// positional parameters ($1, $2, …; values are never pasted into text), rows, transactions.
//
// Errors: InvalidArgument for values that the schema refuses; ResourceExhausted for a full disk;
// DataCorrupt for a damaged file; Unavailable for everything that may pass by itself (a lock, I/O).
//
// Threads: one at a time. Ownership: owns the connection.
class Database {
  public:
    virtual ~Database() = default;

    virtual Result<std::vector<Row>> query(std::string_view sql,
                                           std::span<const Value> parameters = {}) = 0;
    virtual Result<void> begin() = 0;
    // A commit that fails may leave the transaction open: roll back then.
    virtual Result<void> commit() = 0;
    virtual Result<void> roll_back() = 0;  // does nothing where no transaction is open

    // Brings the schema named `schema` up to the last of `steps`, each step in a transaction of its
    // own. A schema that is newer than the program is refused and left as it is.
    Result<void> migrate(std::string_view schema, std::span<const Migration> steps);
};

// What is acknowledged survives power loss (Full) or only the end of the process (Normal).
enum class Durability : uint8_t { Normal, Full };

// Opens or creates a SQLite file (mode 0600) in WAL mode. Only `weir serve` opens it, with this one
// connection: SQLite before 3.51.3 can corrupt a WAL that two connections reset at once.
Result<std::unique_ptr<Database>> open_sqlite(const std::filesystem::path& path,
                                              Durability durability = Durability::Normal);

// Nothing on disk; for tests.
Result<std::unique_ptr<Database>> open_memory();

}  // namespace weir::store
