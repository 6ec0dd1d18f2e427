#include "base/metrics.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

namespace weir::metrics {
namespace {

TEST(Metrics, WritesThePrometheusTextFormat) {
    Registry registry(Labels{{"model_name", "a\"b\\c\nd"}});
    registry.counter("vllm:prompt_tokens", "Prompt tokens.").add(3);
    registry.gauge("vllm:num_requests_running", "Requests\nrunning.").set(2);
    constexpr std::array kBounds = {0.5, 1.0};
    Histogram& histogram = registry.histogram("vllm:e2e", "Seconds.", kBounds, {{"engine", "0"}});
    histogram.observe(0.5);
    histogram.observe(0.75);
    histogram.observe(7);

    EXPECT_EQ(registry.text(),
              "# HELP vllm:e2e Seconds.\n"
              "# TYPE vllm:e2e histogram\n"
              "vllm:e2e_bucket{model_name=\"a\\\"b\\\\c\\nd\",engine=\"0\",le=\"0.5\"} 1\n"
              "vllm:e2e_bucket{model_name=\"a\\\"b\\\\c\\nd\",engine=\"0\",le=\"1\"} 2\n"
              "vllm:e2e_bucket{model_name=\"a\\\"b\\\\c\\nd\",engine=\"0\",le=\"+Inf\"} 3\n"
              "vllm:e2e_sum{model_name=\"a\\\"b\\\\c\\nd\",engine=\"0\"} 8.25\n"
              "vllm:e2e_count{model_name=\"a\\\"b\\\\c\\nd\",engine=\"0\"} 3\n"
              "# HELP vllm:num_requests_running Requests\\nrunning.\n"
              "# TYPE vllm:num_requests_running gauge\n"
              "vllm:num_requests_running{model_name=\"a\\\"b\\\\c\\nd\"} 2\n"
              "# HELP vllm:prompt_tokens_total Prompt tokens.\n"
              "# TYPE vllm:prompt_tokens_total counter\n"
              "vllm:prompt_tokens_total{model_name=\"a\\\"b\\\\c\\nd\"} 3\n");
}

TEST(Metrics, TheSameNameAndLabelsGiveTheSameMetric) {
    Registry registry;
    registry.counter("requests_total", "x", {{"status", "200"}}).add();
    registry.counter("requests_total", "x", {{"status", "500"}}).add(5);
    EXPECT_EQ(registry.counter("requests_total", "x", {{"status", "200"}}).value(), 1u);
    EXPECT_NE(registry.text().find("requests_total{status=\"500\"} 5\n"), std::string::npos);
    EXPECT_EQ(registry.text().find("_total_total"), std::string::npos);
}

TEST(Metrics, WritesWhatIsNoNumberAsPrometheusDoes) {
    Registry registry;
    registry.gauge("a", "x").set(std::numeric_limits<double>::infinity());
    registry.gauge("b", "x").set(std::numeric_limits<double>::quiet_NaN());
    EXPECT_NE(registry.text().find("a +Inf\n"), std::string::npos);
    EXPECT_NE(registry.text().find("b NaN\n"), std::string::npos);
}

}  // namespace
}  // namespace weir::metrics
