#pragma once

#include <array>
#include <chrono>
#include <string_view>
#include <vector>

#include "ledger/ledger.h"
#include "store/database.h"

// How the ledger's entries lie in the database.
namespace weir::ledger {

extern const std::array<store::Migration, 2> kSchema;
extern const std::string_view kInsert;  // takes columns_of()
extern const std::string_view kSpend;   // takes the time from which on; gives spend_rows()'s rows

int64_t microseconds_of(std::chrono::system_clock::time_point time);
std::array<store::Value, 18> columns_of(const Entry& entry);
std::vector<SpendRow> spend_rows(const std::vector<store::Row>& rows);

}  // namespace weir::ledger
