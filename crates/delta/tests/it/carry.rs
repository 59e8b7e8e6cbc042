use crate::build::c;
use assay_delta::{Executed, prove};

#[test]
fn same_twice() {
    let Some(a) = c("#include <stdio.h>\nint main(int n, char**v){ printf(\"%d\\n\", n); return 0; }") else {
        return;
    };
    let proof = prove(&a, &a, Executed::All);
    eprintln!("{proof:#?}");
    proof.unwrap();
}
