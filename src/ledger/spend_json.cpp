#include <fmt/format.h>

#include "json/write.h"
#include "ledger/ledger.h"

namespace weir::ledger {
namespace {

std::string cost_of_row(const SpendRow& row) {
    if (row.unpriced == 0) {
        return row.cost_text;
    }
    return row.unpriced == row.requests
               ? "unknown"
               : fmt::format("{} + {} unpriced", row.cost_text, row.unpriced);
}

}  // namespace

std::string spend_json(const std::vector<SpendRow>& rows) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().key("spend").begin_array();
    for (const SpendRow& row : rows) {
        writer.begin_object()
            .member("backend", row.backend)
            .member("model", row.model)
            .member("requests", row.requests)
            .member("unpriced_requests", row.unpriced)
            .member("estimated_requests", row.estimated)
            .member("prompt_tokens", row.prompt_tokens)
            .member("cached_tokens", row.cached_tokens)
            .member("completion_tokens", row.completion_tokens)
            .member("cost_pico_dollars", static_cast<int64_t>(row.cost))
            .member("cost", cost_of_row(row))
            .end_object();
    }
    writer.end_array().end_object();
    return out;
}

}  // namespace weir::ledger
