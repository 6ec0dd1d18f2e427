# What nearly every source reads, read once: without it a build takes a third longer. Includes stay
# complete all the same: builds under ccache, and `fuzz`, read every header for themselves.
set(WEIR_COMMON_HEADERS <fmt/format.h> <algorithm> <chrono> <expected> <filesystem> <functional> <map>
    <memory> <optional> <span> <stop_token> <string> <string_view> <unordered_map> <variant> <vector>)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled.cpp CONTENT "int main() {}\n")
if(WEIR_PCH)
    add_library(weir_pch OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
    target_link_libraries(weir_pch PRIVATE weir_flags)
    target_precompile_headers(weir_pch PRIVATE ${WEIR_COMMON_HEADERS})
endif()

# Where bytes become numbers by casts: there the sanitizers' builds look at alignment too.
set(WEIR_RAW_ROOMS base kernels kv model tensor)
set(WEIR_RAW_OPTIONS)
if(WEIR_SANITIZE MATCHES undefined)
    set(WEIR_RAW_OPTIONS -fsanitize=alignment)
endif()
if(WEIR_PCH AND WEIR_RAW_OPTIONS)  # a header is precompiled with the options of those who read it
    add_library(weir_raw_pch OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
    target_link_libraries(weir_raw_pch PRIVATE weir_flags)
    target_compile_options(weir_raw_pch PRIVATE ${WEIR_RAW_OPTIONS})
    target_precompile_headers(weir_raw_pch PRIVATE ${WEIR_COMMON_HEADERS})
endif()

# What is judged, and has to be fast, is the rooms: a test is compiled quickly instead, and its own
# expectations are not looked into.
set(WEIR_TEST_OPTIONS -O0)
if(WEIR_SANITIZE)
    list(APPEND WEIR_TEST_OPTIONS -fno-sanitize=undefined)
endif()

# weir_test_program(NAME source …): a program of GoogleTest cases; its rooms are linked by the caller.
function(weir_test_program name)
    add_executable(${name} ${ARGN})
    target_link_libraries(${name} PRIVATE weir_gtest)
    target_compile_options(${name} PRIVATE ${WEIR_TEST_OPTIONS})
    if(WEIR_PCH)
        target_precompile_headers(${name} REUSE_FROM weir_test_pch)
    endif()
endfunction()

# weir_test_library(NAME source …): what the tests of several rooms share, compiled like a room.
function(weir_test_library name)
    add_library(${name} STATIC EXCLUDE_FROM_ALL ${ARGN})
    if(WEIR_PCH)
        target_precompile_headers(${name} REUSE_FROM weir_pch)
    endif()
endfunction()

# weir_library(NAME SOURCES … [DEPS room …] [LIBS target …] [TESTS …] [TEST_LIBS target …])
#
# One folder of src/ is one static library `weir_NAME` in namespace weir::NAME, with its unit tests
# in one program `weir_NAME_test`, known to ctest as NAME. DEPS are rooms; what a room may depend on
# stands in tools/lint/check_layers.py.
function(weir_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LIBS;TESTS;TEST_LIBS" ${ARGN})
    add_library(weir_${name} STATIC ${ARG_SOURCES})
    list(TRANSFORM ARG_DEPS PREPEND weir_)
    target_link_libraries(weir_${name} PUBLIC weir_flags ${ARG_DEPS} ${ARG_LIBS})
    set(pch weir_pch)
    if(WEIR_RAW_OPTIONS AND name IN_LIST WEIR_RAW_ROOMS)
        set(pch weir_raw_pch)
        target_compile_options(weir_${name} PRIVATE ${WEIR_RAW_OPTIONS})
    endif()
    if(WEIR_PCH)
        target_precompile_headers(weir_${name} REUSE_FROM ${pch})
    endif()
    if(ARG_TESTS AND WEIR_TESTS)
        weir_test_program(weir_${name}_test ${ARG_TESTS})
        target_link_libraries(weir_${name}_test PRIVATE weir_${name} ${ARG_TEST_LIBS})
        add_test(NAME ${name} COMMAND weir_${name}_test --gtest_brief=1)
        set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 600)
    endif()
endfunction()

# weir_fuzz(NAME SOURCE room …): a libFuzzer program `fuzz_NAME` in the preset `fuzz`; everywhere else
# the same entry point with a main that replays tests/fuzz/corpus/NAME, as the test `fuzz.NAME`.
function(weir_fuzz name source)
    list(TRANSFORM ARGN PREPEND weir_)
    set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    if(WEIR_FUZZ)
        add_executable(fuzz_${name} ${source})
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(fuzz_${name} ${source} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cpp)
        add_test(NAME fuzz.${name} COMMAND fuzz_${name} ${corpus})
        set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
    endif()
    target_link_libraries(fuzz_${name} PRIVATE ${ARGN})
endfunction()
