#include "ledger/rows.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace weir::ledger {
namespace {

int64_t fitting(PicoDollarsSum sum) {
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
    constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
    return sum > kMax ? kMax : sum < kMin ? kMin : static_cast<int64_t>(sum);
}

std::string text_at(const store::Row& row, size_t i) {
    const auto* value = std::get_if<std::string>(&row.at(i));
    return value == nullptr ? std::string() : *value;
}

int64_t number_at(const store::Row& row, size_t i) {
    const auto* value = std::get_if<int64_t>(&row.at(i));
    return value == nullptr ? 0 : *value;
}

// From the sums of the high and of the low halves, which stand beside each other.
PicoDollarsSum sum_at(const store::Row& row, size_t i) {
    return static_cast<PicoDollarsSum>(number_at(row, i)) * (int64_t{1} << 32) +
           number_at(row, i + 1);
}

uint64_t count_at(const store::Row& row, size_t i) {
    return static_cast<uint64_t>(std::max(int64_t{0}, fitting(sum_at(row, i))));
}

}  // namespace

// Numbers are in the units of their names; `rate` columns in 10^-18 dollars a token.
constexpr std::array<store::Migration, 2> kSchema = {
    store::Migration{
        "requests",
        "CREATE TABLE requests ("
        "  request_id TEXT NOT NULL, time_us BIGINT NOT NULL, key_name TEXT NOT NULL,"
        "  route TEXT NOT NULL, backend TEXT NOT NULL, model TEXT NOT NULL, label TEXT NOT NULL,"
        "  outcome TEXT NOT NULL, prompt_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,"
        "  completion_tokens BIGINT NOT NULL, input_rate BIGINT NOT NULL, cached_rate BIGINT NOT "
        "NULL,"
        "  output_rate BIGINT NOT NULL, cost_pico BIGINT NOT NULL, latency_us BIGINT NOT NULL);"
        "CREATE INDEX requests_by_time ON requests (time_us)"},
    store::Migration{"what is known of a cost",
                     "ALTER TABLE requests ADD COLUMN is_priced SMALLINT NOT NULL DEFAULT 1;"
                     "ALTER TABLE requests ADD COLUMN is_estimated SMALLINT NOT NULL DEFAULT 0"}};

constexpr std::string_view kInsert =
    "INSERT INTO requests VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
    "$15, $16, $17, $18)";

// SQLite's SUM fails where it leaves 64 bits, and one such group would take every other down with
// it. Each half of a number has 32 bits, so 2^31 rows can be summed.
constexpr std::string_view kSpend =
    "SELECT backend, model, COUNT(*), "
    "SUM(prompt_tokens >> 32), SUM(prompt_tokens & 4294967295), "
    "SUM(cached_tokens >> 32), SUM(cached_tokens & 4294967295), "
    "SUM(completion_tokens >> 32), SUM(completion_tokens & 4294967295), "
    "SUM(cost_pico >> 32), SUM(cost_pico & 4294967295), SUM(1 - is_priced), SUM(is_estimated) "
    "FROM requests WHERE time_us >= $1 GROUP BY backend, model ORDER BY backend, model";

int64_t microseconds_of(std::chrono::system_clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::array<store::Value, 18> columns_of(const Entry& entry) {
    const auto count = [](uint64_t tokens) {
        constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
        return store::Value(static_cast<int64_t>(std::min(tokens, kMax)));
    };
    const auto rate = [](Rate value) {
        return store::Value(static_cast<int64_t>(value));
    };
    const Price price = entry.price.value_or(Price{});
    return {entry.request_id,
            microseconds_of(entry.time),
            entry.key,
            entry.route,
            entry.backend,
            entry.model,
            std::string(chat::name(entry.label)),
            entry.outcome,
            count(entry.usage.prompt_tokens),
            count(entry.usage.cached_tokens),
            count(entry.usage.completion_tokens),
            rate(price.input),
            rate(price.cached.value_or(price.input)),
            rate(price.output),
            static_cast<int64_t>(entry.cost),
            int64_t{entry.latency.count()},
            int64_t{entry.price ? 1 : 0},
            int64_t{entry.is_usage_estimated ? 1 : 0}};
}

std::vector<SpendRow> spend_rows(const std::vector<store::Row>& rows) {
    std::vector<std::pair<PicoDollarsSum, SpendRow>> sums;
    for (const store::Row& row : rows) {
        const PicoDollarsSum cost = sum_at(row, 9);
        sums.emplace_back(cost, SpendRow{.backend = text_at(row, 0),
                                         .model = text_at(row, 1),
                                         .requests = static_cast<uint64_t>(number_at(row, 2)),
                                         .unpriced = static_cast<uint64_t>(number_at(row, 11)),
                                         .estimated = static_cast<uint64_t>(number_at(row, 12)),
                                         .prompt_tokens = count_at(row, 3),
                                         .cached_tokens = count_at(row, 5),
                                         .completion_tokens = count_at(row, 7),
                                         .cost = PicoDollars{fitting(cost)},
                                         .cost_text = sum_to_text(cost)});
    }
    std::stable_sort(sums.begin(), sums.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<SpendRow> out;
    for (auto& [cost, row] : sums) {
        out.push_back(std::move(row));
    }
    return out;
}

}  // namespace weir::ledger
