#include "cli/model_access.h"

namespace weir::cli {

Result<model::ModelSource::Pointer> ModelAccess::open(const std::string& name) const {
    WEIR_TRY(enter_sandbox());
    if (name == "weir-tiny") {
        if (embedded.empty()) {
            return unsupported("this build has no embedded model");
        }
        return model::ModelSource::from_bytes(embedded);
    }
    return model::ModelSource::open(name);
}

}  // namespace weir::cli
