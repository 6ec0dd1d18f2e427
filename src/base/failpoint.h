#pragma once

#include <string_view>

// WEIR_FAILPOINT("policy.detector"): true when a test has armed that name, so that the code can
// fail there. Compiled out of release builds, where it is the constant false.
#ifdef WEIR_FAILPOINTS
#define WEIR_FAILPOINT(name) ::weir::failpoint_armed(name)
#else
#define WEIR_FAILPOINT(name) false
#endif

namespace weir {

bool failpoint_armed(std::string_view name);

// Arms a failpoint for the life of this object. Also armed: every name in the comma-separated
// environment variable WEIR_FAILPOINTS, read once. Threads: any.
class ArmedFailpoint {
  public:
    explicit ArmedFailpoint(std::string_view name);
    ArmedFailpoint(const ArmedFailpoint&) = delete;
    ArmedFailpoint& operator=(const ArmedFailpoint&) = delete;
    ~ArmedFailpoint();

  private:
    std::string_view name_;
};

}  // namespace weir
