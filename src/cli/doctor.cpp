#include "cli/doctor.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "cli/admin.h"
#include "cli/model_plan.h"
#include "json/fields.h"
#include "json/parse.h"
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

uint64_t memory_bytes(int pages) {
    return static_cast<uint64_t>(::sysconf(pages)) *
           static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
}

Check check_memory() {
    return {"memory", true,
            fmt::format("{} MiB, {} MiB free, {} cores", memory_bytes(_SC_PHYS_PAGES) >> 20,
                        memory_bytes(_SC_AVPHYS_PAGES) >> 20, std::thread::hardware_concurrency())};
}

Check check_home(const std::filesystem::path& home) {
    std::error_code error;
    std::filesystem::create_directories(home, error);
    const bool writable = !error && ::access(home.c_str(), W_OK) == 0;
    return {"home", writable,
            home.string() + (writable ? "" : " cannot be written (set WEIR_HOME)")};
}

// The names that the running gateway answers for. Absent: none runs here.
std::optional<std::string> names_of_gateway(const std::filesystem::path& home) {
    const auto names = [&]() -> Result<std::string> {
        WEIR_TRY_ASSIGN(const std::string answer, ask_gateway(home, "GET", "/v1/models"));
        WEIR_TRY_ASSIGN(const json::Value value, json::parse(answer));
        WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, ""));
        WEIR_TRY_ASSIGN(const json::Array* models, fields.require_array("data"));
        std::string out;
        for (const json::Value& model : *models) {
            WEIR_TRY_ASSIGN(json::Fields entry, json::Fields::of(model, "data"));
            WEIR_TRY_ASSIGN(const std::string id, entry.require_string("id"));
            out += (out.empty() ? "" : ", ") + id;
        }
        return out;
    }();
    return names ? std::optional(*names) : std::nullopt;
}

// A running gateway has the keys that it was started with; only the next one needs this shell's.
Result<void> check_keys(const server::Config& config) {
    for (const server::BackendConfig& backend : config.backends) {
        const auto* remote = std::get_if<server::RemoteSource>(&backend.source);
        if (remote != nullptr && !remote->api_key_env.empty() &&
            std::getenv(remote->api_key_env.c_str()) == nullptr) {
            return fail(ErrorCode::NotFound,
                        "backend \"{}\": {} is not set in this shell: weir serve would not start "
                        "from here",
                        backend.name, remote->api_key_env);
        }
    }
    return {};
}

Check check_config(const std::filesystem::path& path, const Result<server::Config>& config,
                   bool gateway_runs) {
    if (!config) {
        return {"configuration", false, config.error().message};
    }
    Result<void> usable = server::check_files(*config);
    if (usable && !gateway_runs) {
        usable = check_keys(*config);
    }
    if (!usable) {
        return {"configuration", false, path.string() + ": " + usable.error().message};
    }
    return {"configuration", true,
            fmt::format("{}: {} backends, {} routes, {} keys", path.string(),
                        config->backends.size(), config->routes.size(), config->keys.size())};
}

Check check_model(const server::BackendConfig& backend, const server::ModelSource& source,
                  const std::filesystem::path& program, uint64_t budget) {
    const std::string what = "model " + backend.name;
    const std::string path = source.path.empty() ? "the embedded one" : source.path;
    const auto bytes = plan_in_worker(program, source);
    if (!bytes) {
        return {what, false, path + ": " + bytes.error().message};
    }
    const bool fits = *bytes <= budget;
    return {what, fits,
            fmt::format("{}: needs {} MiB, {} the memory budget of {} MiB", path,
                        (*bytes + (1 << 20) - 1) >> 20, fits ? "within" : "which is more than",
                        budget >> 20)};
}

// The configuration, and each model that it has this machine run.
void check_configuration(const DoctorOptions& options, bool gateway_runs,
                         std::vector<Check>& checks) {
    const std::filesystem::path path = options.config.value_or(options.home / "weir.toml");
    Result<server::Config> config = server::default_config();
    if (options.config || std::filesystem::exists(path)) {
        config = server::load_config(path);
        checks.push_back(check_config(path, config, gateway_runs));
    } else {
        checks.push_back(
            {"configuration", true, path.string() + " is not there: weir serve needs none"});
    }
    for (size_t i = 0; config && i < config->backends.size(); ++i) {
        if (const auto* source = std::get_if<server::ModelSource>(&config->backends[i].source)) {
            checks.push_back(check_model(
                config->backends[i], *source, options.program,
                config->memory_budget_bytes.value_or(memory_bytes(_SC_PHYS_PAGES) / 5 * 4)));
        }
    }
}

void print(const std::vector<Check>& checks, OutputForm form) {
    if (form == OutputForm::Text) {
        for (const Check& check : checks) {
            std::printf("%-7s%-15s %s\n", check.well ? "ok" : "WRONG", check.what.c_str(),
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

Result<void> doctor(const DoctorOptions& options) {
    std::vector<Check> checks = {check_kernels(), check_memory(), check_sandbox(),
                                 check_home(options.home)};
    const auto names = names_of_gateway(options.home);
    checks.push_back(
        {"gateway", true,
         names ? "runs, with the configuration it was started with, and answers for " + *names
               : "none runs on " + options.home.string() + " (weir serve starts it)"});
    check_configuration(options, names.has_value(), checks);
    print(checks, options.form);
    for (const Check& check : checks) {
        if (!check.well) {
            return fail(ErrorCode::Unavailable, "{}: {}", check.what, check.says);
        }
    }
    return {};
}

}  // namespace weir::cli
