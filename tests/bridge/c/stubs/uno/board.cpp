#include "bench.h"

void common_event(const std::string &what, const std::string &argument);

void board_event(const std::string &what, const std::string &argument) { common_event(what, argument); }
