#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/event.h"

namespace weir::ledger {

// Money is integers. A rate is in units of 10^-18 dollars a token (some published rates are no
// whole pico-dollars), a cost in pico-dollars (10^-12).
enum class Rate : int64_t {};
enum class PicoDollars : int64_t {};
// Of many costs, in pico-dollars: does not overflow.
__extension__ using PicoDollarsSum = __int128;

// What a backend charges. Cached prompt tokens cost `cached`, or `input` where it has no price of
// its own.
struct Price {
    Rate input{0};
    std::optional<Rate> cached;
    Rate output{0};
};

// Dollars per million tokens as people write them ("2.50", "0.075"): up to 12 decimals, exactly.
// Errors: InvalidArgument for anything else, negative numbers and more than 10^6 dollars.
Result<Rate> rate_from_dollars_per_million(std::string_view text);

// The exact cost of `usage`, summed in 128 bits and rounded once, half to even.
// Errors: InvalidArgument if it does not fit 64 bits.
Result<PicoDollars> cost_of(const chat::Usage& usage, const Price& price);

// "$0.000123", with as many decimals as it takes, at least two.
std::string to_text(PicoDollars amount);
std::string sum_to_text(PicoDollarsSum amount);  // below 10^19 dollars

}  // namespace weir::ledger
