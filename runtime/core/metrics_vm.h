/* metrics_vm.h - what /metrics tells of script VMs and fibers: vms, vm_memory_bytes, fibers. Loop
 * thread. */
#ifndef STANCE_CORE_METRICS_VM_H
#define STANCE_CORE_METRICS_VM_H

/* From now on, as long as the process lives. Safe to repeat. */
void metrics_vm_start(void);

#endif
