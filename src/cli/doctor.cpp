#include "cli/doctor.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "cli/admin.h"
#include "json/write.h"
#include "kernels/kernel_set.h"
#include "server/config.h"
#include "server/sandbox.h"

namespace weir::cli {
namespace {

struct Check {
    std::string what;
    bool well = true;
    std::string says;
};

Check check_kernels() {
    const auto chosen = kernels::select_kernels_from_environment();
    if (!chosen) {
        return {"kernels", false, chosen.error().message + " (see WEIR_CPU)"};
    }
    std::string says(kernels::name(**chosen));
    says += " of";
    for (const kernels::KernelSet* set : kernels::available_kernels()) {
        says += " " + std::string(kernels::name(*set));
    }
    return {"kernels", true, says};
}

// A sandbox cannot be left again, so a child tries it.
Check check_sandbox() {
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(server::enter_sandbox() ? 0 : 1);
    }
    int status = 1;
    ::waitpid(child, &status, 0);
    return status == 0 ? Check{"sandbox", true, "seccomp works"}
                       : Check{"sandbox", false,
                               "this kernel refuses seccomp filters: local models "
                               "cannot be served"};
}

Check check_memory() {
    const auto pages = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES));
    const auto available = static_cast<uint64_t>(::sysconf(_SC_AVPHYS_PAGES));
    const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
    return {"memory", true,
            fmt::format("{} MiB, {} MiB free, {} cores", pages * page >> 20, available * page >> 20,
                        std::thread::hardware_concurrency())};
}

Check check_home(const std::filesystem::path& home) {
    std::error_code error;
    std::filesystem::create_directories(home, error);
    const bool writable = !error && ::access(home.c_str(), W_OK) == 0;
    return {"home", writable,
            home.string() + (writable ? "" : " cannot be written (set WEIR_HOME)")};
}

Check check_config(const std::filesystem::path& path) {
    if (!std::filesystem::exists(path)) {
        return {"configuration", true, "none: the embedded model on 127.0.0.1:8080"};
    }
    const auto config = server::load_config(path);
    if (!config) {
        return {"configuration", false, config.error().message};
    }
    for (const server::BackendConfig& backend : config->backends) {
        const auto* remote = std::get_if<server::RemoteSource>(&backend.source);
        if (remote != nullptr && !remote->api_key_env.empty() &&
            std::getenv(remote->api_key_env.c_str()) == nullptr) {
            return {"configuration", false,
                    fmt::format("backend {}: {} is not set", backend.name, remote->api_key_env)};
        }
    }
    return {"configuration", true,
            fmt::format("{}: {} backends, {} routes, {} keys", path.filename().string(),
                        config->backends.size(), config->routes.size(), config->keys.size())};
}

Check check_gateway(const std::filesystem::path& home) {
    const auto answer = ask_gateway(home, "GET", "/ready");
    return {"gateway", true, answer ? "running" : "not running (weir serve starts it)"};
}

void print(const std::vector<Check>& checks, OutputForm form) {
    if (form == OutputForm::Text) {
        for (const Check& check : checks) {
            std::printf("%-7s%-15s%s\n", check.well ? "ok" : "WRONG", check.what.c_str(),
                        check.says.c_str());
        }
        return;
    }
    std::string out;
    json::Writer writer(out);
    writer.begin_array();
    for (const Check& check : checks) {
        writer.begin_object()
            .member("check", check.what)
            .member("ok", check.well)
            .member("says", check.says)
            .end_object();
    }
    writer.end_array();
    std::puts(out.c_str());
}

}  // namespace

Result<void> doctor(const std::filesystem::path& home, const std::filesystem::path& config,
                    OutputForm form) {
    const std::vector<Check> checks = {check_kernels(),  check_memory(),       check_sandbox(),
                                       check_home(home), check_config(config), check_gateway(home)};
    print(checks, form);
    for (const Check& check : checks) {
        if (!check.well) {
            return fail(ErrorCode::Unavailable, "{}: {}", check.what, check.says);
        }
    }
    return {};
}

}  // namespace weir::cli
