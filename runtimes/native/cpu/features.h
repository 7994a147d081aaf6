/* What the CPU and the operating system let a kernel use. */
#ifndef CE_CPU_FEATURES_H
#define CE_CPU_FEATURES_H

/* Bit i is set where enum ce_isa i runs here; the reference's bit is not. */
unsigned ce_cpu_isas(void);

#endif
