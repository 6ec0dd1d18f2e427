#include "server/worker_metrics.h"

#include <gtest/gtest.h>

#include "base/metrics.h"

namespace weir::server {
namespace {

std::string exposition_of(const std::string& model, uint64_t count) {
    metrics::Registry registry({{"model_name", model}});
    registry.counter("vllm:prompt_tokens_total", "Prompt tokens.").add(count);
    return registry.text();
}

TEST(JoinExpositions, PutsTheSeriesOfOneMetricTogetherUnderOneHead) {
    EXPECT_EQ(join_expositions({exposition_of("a", 1), "", exposition_of("b", 2)}),
              "# HELP vllm:prompt_tokens_total Prompt tokens.\n"
              "# TYPE vllm:prompt_tokens_total counter\n"
              "vllm:prompt_tokens_total{model_name=\"a\"} 1\n"
              "vllm:prompt_tokens_total{model_name=\"b\"} 2\n");
}

TEST(HouseMetrics, SayWhatBecameOfTheEntriesAndThatThereAreNoBugs) {
    const std::string text = house_metrics({.written = 5, .failed = 3, .lost = 1, .kept = 2}, 0);
    for (const std::string_view line :
         {"weir_bugs_total 0\n", "weir_ledger_entries_written_total 5\n",
          "weir_ledger_entries_failed_total 3\n", "weir_ledger_entries_lost_total 1\n",
          "weir_ledger_entries_kept 2\n"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << text;
    }
}

}  // namespace
}  // namespace weir::server
