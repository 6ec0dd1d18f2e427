#include "cli/model_plan.h"

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "json/fields.h"
#include "json/parse.h"
#include "server/subprocess.h"

namespace weir::cli {
namespace {

constexpr std::chrono::seconds kPlanMax{120};

std::vector<std::string> arguments_of(const std::filesystem::path& program,
                                      const server::ModelSource& source) {
    std::vector<std::string> out = {program.string(), "worker", "--plan"};
    const auto give = [&](std::string_view option, const auto& value) {
        if (value) {
            out.insert(out.end(), {std::string(option), std::to_string(*value)});
        }
    };
    if (!source.path.empty()) {
        out.insert(out.end(), {"--model", source.path});
    }
    give("--context-tokens", source.context_tokens);
    give("--cache-tokens", source.cache_tokens);
    give("--threads", source.threads);
    return out;
}

// {"memory_bytes":N} or {"error":"…"}.
Result<uint64_t> parse_plan(const std::string& line) {
    WEIR_TRY_ASSIGN(const json::Value value, json::parse(line));
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, ""));
    std::optional<std::string> error;
    WEIR_TRY(fields.read("error", error));
    if (error) {
        return fail(ErrorCode::Unavailable, "{}", *error);
    }
    std::optional<int64_t> bytes;
    WEIR_TRY(fields.read("memory_bytes", json::in_range<int64_t>(0, INT64_MAX), bytes));
    return static_cast<uint64_t>(bytes.value_or(0));
}

}  // namespace

Result<uint64_t> plan_in_worker(const std::filesystem::path& program,
                                const server::ModelSource& source) {
    std::string said;  // written before `ended` is set, read after
    std::promise<int> ended;
    std::future<int> status = ended.get_future();
    WEIR_TRY_ASSIGN(
        const auto process,
        server::Subprocess::start(arguments_of(program, source),
                                  {.on_line = [&](std::string line) { said = std::move(line); },
                                   .on_exit =
                                       [&](int exit_status) {
                                           ended.set_value(exit_status);
                                       }}));
    if (status.wait_for(kPlanMax) != std::future_status::ready) {
        return fail(ErrorCode::DeadlineExceeded, "it could not be read within {} s",
                    kPlanMax.count());
    }
    if (said.empty()) {
        return fail(ErrorCode::Unavailable, "the process that reads it ended: {}",
                    server::describe_exit(status.get()));
    }
    return parse_plan(said);
}

}  // namespace weir::cli
