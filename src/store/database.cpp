#include "store/database.h"

#include <array>

namespace weir::store {
namespace {

// The number of the last step that was taken.
Result<int64_t> schema_version(Database& database, std::string_view schema) {
    WEIR_TRY(
        database.query("CREATE TABLE IF NOT EXISTS weir_schema ("
                       "name TEXT PRIMARY KEY, version BIGINT NOT NULL)"));
    const std::array<Value, 1> parameters = {Value(std::string(schema))};
    WEIR_TRY_ASSIGN(const auto rows,
                    database.query("SELECT version FROM weir_schema WHERE name = $1", parameters));
    if (rows.empty()) {
        return 0;
    }
    const auto* version = std::get_if<int64_t>(&rows[0].at(0));
    if (version == nullptr) {
        return data_corrupt("the schema table of the database is damaged");
    }
    return *version;
}

Result<void> take_step(Database& database, std::string_view schema, const Migration& step,
                       int64_t version) {
    WEIR_TRY(database.query(step.sql));
    const std::array<Value, 2> parameters = {Value(std::string(schema)), Value(version)};
    WEIR_TRY(
        database.query("INSERT INTO weir_schema (name, version) VALUES ($1, $2) "
                       "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
                       parameters));
    return {};
}

}  // namespace

Result<void> Database::migrate(std::string_view schema, std::span<const Migration> steps) {
    WEIR_TRY_ASSIGN(const int64_t present, schema_version(*this, schema));
    const auto newest = static_cast<int64_t>(steps.size());
    if (present > newest) {
        return fail(ErrorCode::Unsupported,
                    "the database has version {} of its {} tables, this program knows {}; it was "
                    "left as it is",
                    present, schema, newest);
    }
    for (int64_t version = present + 1; version <= newest; ++version) {
        const Migration& step = steps[static_cast<size_t>(version - 1)];
        WEIR_TRY(begin());
        Result<void> taken = take_step(*this, schema, step, version);
        if (taken) {
            taken = commit();
        }
        if (!taken) {
            // What went wrong first is what the operator has to know.
            [[maybe_unused]] const Result<void> rolled_back = roll_back();
            return std::unexpected(std::move(taken).error().with_context(step.name));
        }
    }
    return {};
}

}  // namespace weir::store
