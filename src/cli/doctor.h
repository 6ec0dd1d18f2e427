#pragma once

#include <filesystem>
#include <optional>

#include "base/result.h"
#include "cli/show.h"

namespace weir::cli {

struct DoctorOptions {
    std::filesystem::path home;
    std::filesystem::path program;                // this program, to read model files with
    std::optional<std::filesystem::path> config;  // absent: weir.toml in `home`, if it is there
    OutputForm form = OutputForm::Text;
};

// Looks at what Weir needs of this machine and of its configuration, local models included, and
// says, line by line, what is well and what to do about the rest. Fails if something is wrong.
Result<void> doctor(const DoctorOptions& options);

}  // namespace weir::cli
