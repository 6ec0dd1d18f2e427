#pragma once

#include "chat/label.h"
#include "chat/request.h"

namespace weir::policy {

// 128 bits of everything in the request that the inspection looks at. The key is drawn when the
// process first takes one, so that nobody outside can look for two requests with the same.
//
// Threads: any. A few microseconds for a long conversation, tenths of a millisecond for a megabyte.
chat::InspectionStamp::Fingerprint fingerprint_of(const chat::ChatRequest& request);

}  // namespace weir::policy
