/* The catalogue's YAML texts, compiled in; end with a NUL. */
#pragma once

extern const char catalogue_models_yaml[];
extern const char catalogue_machines_yaml[];
