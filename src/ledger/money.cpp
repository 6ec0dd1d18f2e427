#include "ledger/money.h"

#include <algorithm>
#include <limits>

namespace weir::ledger {
namespace {

__extension__ using Wide = __int128;

constexpr int kDecimalsMax = 12;                        // 10^-12 dollars a million = 10^-18 a token
constexpr int64_t kDollarsMax = 1'000'000;              // a million tokens for a million dollars
constexpr int64_t kUnitsPerDollar = 1'000'000'000'000;  // 10^12, of either kind
constexpr int64_t kRateUnitsPerPico = 1'000'000;        // 10^-12 / 10^-18

std::unexpected<Error> no_price(std::string_view why) {
    return fail(ErrorCode::InvalidArgument,
                "not a price in dollars per million tokens (such as \"2.50\"): {}", why);
}

}  // namespace

Result<Rate> rate_from_dollars_per_million(std::string_view text) {
    const size_t point = text.find('.');
    const std::string_view whole = text.substr(0, point);
    const std::string_view decimals =
        point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
    if (whole.empty() || (point != std::string_view::npos && decimals.empty())) {
        return no_price("a digit is missing");
    }
    if (whole.size() > 7 || decimals.size() > kDecimalsMax) {
        return no_price("too many digits");
    }
    int64_t units = 0;
    const auto append = [&](char c) {
        units = units * 10 + (c - '0');
        return c >= '0' && c <= '9';
    };
    for (const char c : whole) {
        if (!append(c)) {
            return no_price("it is not a number");
        }
    }
    if (units > kDollarsMax) {
        return no_price("it is above a million dollars");
    }
    for (size_t i = 0; i < kDecimalsMax; ++i) {
        if (!append(i < decimals.size() ? decimals[i] : '0')) {
            return no_price("it is not a number");
        }
    }
    return Rate{units};
}

Result<PicoDollars> cost_of(const chat::Usage& usage, const Price& price) {
    const uint64_t cached = std::min(usage.cached_tokens, usage.prompt_tokens);
    const auto part = [](uint64_t tokens, Rate rate) {
        return static_cast<Wide>(tokens) * static_cast<int64_t>(rate);
    };
    const Wide total = part(usage.prompt_tokens - cached, price.input) +
                       part(cached, price.cached.value_or(price.input)) +
                       part(usage.completion_tokens, price.output);
    Wide rounded = total / kRateUnitsPerPico;
    const Wide rest = total % kRateUnitsPerPico;
    if (rest * 2 > kRateUnitsPerPico || (rest * 2 == kRateUnitsPerPico && rounded % 2 != 0)) {
        ++rounded;
    }
    if (rounded > std::numeric_limits<int64_t>::max()) {
        return fail(ErrorCode::InvalidArgument, "the cost of a request does not fit the ledger");
    }
    return PicoDollars{static_cast<int64_t>(rounded)};
}

std::string sum_to_text(PicoDollarsSum amount) {
    const bool negative = amount < 0;
    const PicoDollarsSum size = negative ? -amount : amount;
    std::string decimals = fmt::format("{:012}", static_cast<uint64_t>(size % kUnitsPerDollar));
    while (decimals.size() > 2 && decimals.back() == '0') {
        decimals.pop_back();
    }
    return fmt::format("{}${}.{}", negative ? "-" : "",
                       static_cast<uint64_t>(size / kUnitsPerDollar), decimals);
}

std::string to_text(PicoDollars amount) {
    return sum_to_text(static_cast<int64_t>(amount));
}

}  // namespace weir::ledger
