#include "cli/model_plan.h"

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "server/subprocess.h"
#include "server/worker_command.h"

namespace weir::cli {
namespace {

constexpr std::chrono::seconds kPlanMax{120};

}  // namespace

Result<uint64_t> plan_in_worker(const std::filesystem::path& program,
                                const server::ModelSource& source) {
    std::vector<std::string> arguments = {program.string(), "worker", "--plan", "--read-texts"};
    const auto more = server::worker_arguments(source);
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::string said;  // written before `ended` is set, read after
    std::promise<int> ended;
    std::future<int> status = ended.get_future();
    WEIR_TRY_ASSIGN(const auto process,
                    server::Subprocess::start(
                        arguments, {.on_line = [&](std::string line) { said = std::move(line); },
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
    return server::parse_worker_line(said);
}

}  // namespace weir::cli
